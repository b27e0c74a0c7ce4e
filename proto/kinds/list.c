#include "proto/kinds/kinds.h"

#define ADDRESS(name) &kind_##name,

const struct kind *const kinds_list[] = {KINDS(ADDRESS)};
const unsigned kinds_list_count = ARRAY_SIZE(kinds_list);
