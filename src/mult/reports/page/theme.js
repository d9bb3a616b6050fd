"use strict";
// Before the first paint, so that a page in the other theme does not flash.
const stored = {
  // From a file, or with cookies off, storage may throw.
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Then it is forgotten.
    }
  },
};
const theme = stored.get("mult-theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
