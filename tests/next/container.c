/* proto/kinds/container.c with one field more in each schema. */
#include "proto/kinds/kinds.h"
#include "tests/next/next.h"

#undef SCHEMA
#undef SCHEMA_STATIC
#define SCHEMA(var, title, text, ...)                                                                                  \
    static const struct field var##_fields[] = {__VA_ARGS__, NEXT_FIELD};                                              \
    const struct schema var = {title, var##_fields, ARRAY_SIZE(var##_fields), text}
#define SCHEMA_STATIC(var, title, text, ...)                                                                           \
    static const struct field var##_fields[] = {__VA_ARGS__, NEXT_FIELD};                                              \
    static const struct schema var = {title, var##_fields, ARRAY_SIZE(var##_fields), text}

#include "proto/kinds/container.c"
