#include "proto/facts/precondition.h"

#include <stdio.h>

const char *precondition_name(const struct kind *k, struct str name, char out[PRECONDITION_NAME_SIZE])
{
    struct str group = kind_group(k);
    snprintf(out, PRECONDITION_NAME_SIZE, "%s%s%.*s \"%.*s\"", k->plural, str_empty(group) ? "" : ".", STR_ARG(group),
             STR_ARG(name));
    return out;
}

int precondition_check(const struct object *o, struct str uid, uint64_t revision, struct error *err)
{
    char name[PRECONDITION_NAME_SIZE];
    if (!str_empty(uid) && !str_eq(uid, o->uid)) {
        return error_set_field(err, ERR_CONFLICT, "metadata.uid",
                               "%s is another object than the one meant: its uid is %.*s, not %.*s",
                               precondition_name(o->kind, o->name, name), STR_ARG(o->uid), STR_ARG(uid));
    }
    if (revision != 0 && revision != o->revision) {
        return error_set_field(
            err, ERR_CONFLICT, "metadata.resourceVersion",
            "%s has been changed: its resourceVersion is %llu, the request was made for revision %llu; "
            "read it again and repeat the change on what it is now",
            precondition_name(o->kind, o->name, name), (unsigned long long)o->revision, (unsigned long long)revision);
    }
    return 0;
}
