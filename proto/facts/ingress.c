#include "proto/facts/ingress.h"

bool ingress_class_is_default(const struct object *class)
{
    return str_is(object_annotation(class, INGRESS_DEFAULT_CLASS), "true");
}
