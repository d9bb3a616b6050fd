"""Numbers of Taskonomy's encoding that both the writers and the readers of labels need."""

DEPTH_UNITS = 512  # codes per metre in depth_zbuffer and depth_euclidean
NO_DEPTH = 65535  # where depth is unknown
NO_NORMAL = 128  # in all three channels, where the normal is unknown
NO_SHADE = 13  # of reshading where depth or normal is unknown; a code like any other, so a mask has to say
CODE_RANGE = 65535.0  # of a 16-bit heat map
