/* Rules for pods as a whole: the spec, and what may change. Containers and volumes have files of their own. */
#include "proto/kinds/kinds.h"

void pod_spec_check(const struct value *spec, const struct fpath *p, bool is_template, struct errlist *l)
{
    (void)is_template;
    check_labels(l, value_get(spec, "nodeSelector"), FPATH_AT(p, "nodeSelector"));
    check_at_least(l, value_get(spec, "terminationGracePeriodSeconds"), FPATH_AT(p, "terminationGracePeriodSeconds"),
                   0);
}

void pod_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    (void)old;
    if (spec != NULL) {
        pod_spec_check(spec, FPATH("spec"), false, l);
    }
}
