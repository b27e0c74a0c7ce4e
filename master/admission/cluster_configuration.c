/* The cluster's configuration: what of it may change, and when. A cluster without one is as the defaults say, so making
 * and deleting it are changes from and to those. */
#include "proto/facts/cluster.h"

#include <stdio.h>

#include "master/admission/row.h"

/* The first node that has a range for its pods. */
static const struct object *node_with_range(const struct view *v)
{
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        if (!str_empty(mp_str(mp_path(object_mp(node), "spec.podCIDR")))) {
            return node;
        }
    }
    return NULL;
}

/* What a setting is in an object, as text; it may be absent, or there may be no object. */
static struct str setting_text(const struct cluster_setting *s, const struct object *o, char number[24])
{
    struct mp v = o == NULL ? mp_of(NULL, 0) : mp_path(object_mp(o), s->path);
    if (mp_type(v) == MP_INT) {
        snprintf(number, 24, "%lld", (long long)mp_int(v, 0));
        return str_of(number);
    }
    struct str text = mp_str(v);
    return str_empty(text) && s->standard != NULL ? str_of(s->standard) : text;
}

static int check_change(const struct view *v, const struct object *old, const struct object *now, struct error *err)
{
    for (const struct cluster_setting *s = cluster_settings; s->key != NULL; s++) {
        char before_number[24], after_number[24];
        struct str before = setting_text(s, old, before_number), after = setting_text(s, now, after_number);
        const struct object *node = !s->fixed || str_eq(before, after) ? NULL : node_with_range(v);
        if (node != NULL) {
            return error_set_field(err, ERR_FORBIDDEN, s->path,
                                   "%s can't change from %.*s to %.*s while nodes hold ranges of pods' addresses, as "
                                   "%.*s does (%.*s); it is chosen when the cluster is made (reeve-master init --set)",
                                   s->key, STR_ARG(before), STR_ARG(after), STR_ARG(node->name),
                                   STR_ARG(mp_str(mp_path(object_mp(node), "spec.podCIDR"))));
        }
    }
    return 0;
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    return check_change(ad->tip, c->old, c->now, err);
}

static int remove_one(const struct view *tip, const struct principal *who, const struct object *o, struct error *err)
{
    (void)who;
    return check_change(tip, o, NULL, err);
}

const struct admission_row admission_cluster_configuration = {
    .name = "ClusterConfiguration",
    .kinds = {KIND_CLUSTERCONFIGURATION},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .help = "The ranges of pods' addresses stay as they are while nodes hold parts of them.",
    .check = check,
    .remove = remove_one,
};
