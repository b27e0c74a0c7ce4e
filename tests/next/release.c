/* The release after this one, as tests need it: one level more, for which there are a kind, fields of known kinds, and
 * what log entries bear. Everything else is what the shipped programs are made of. */
#include "proto/schema/release.h"

const struct release release = {.level = 2, .newest = 2, .entry_flags = 0x8000, .entry_extra = "of the next release"};
