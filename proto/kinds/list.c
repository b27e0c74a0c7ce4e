#include "proto/kinds/kinds.h"

#define ADDRESS(name, NAME, number) &kind_##name,

const struct kind *const kinds_list[] = {KIND_LIST(ADDRESS)};
const unsigned kinds_list_count = ARRAY_SIZE(kinds_list);
