#include "proto/kinds/kinds.h"
#include "tests/next/next.h"

#define ADDRESS(name, NAME, number) &kind_##name,

const struct kind *const kinds_list[] = {KIND_LIST(ADDRESS) & kind_widget};
const unsigned kinds_list_count = ARRAY_SIZE(kinds_list);
