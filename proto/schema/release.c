#include "proto/schema/release.h"

#include <stddef.h>

const struct release release = {.level = 1, .newest = 1, .entry_flags = 0, .entry_extra = NULL};
