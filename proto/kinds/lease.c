/* Lease: who holds something for a while, such as the leadership among the copies of a program. Who reads and writes
 * it decides by its resourceVersion; Reeve only keeps it. Source: Kubernetes coordination.k8s.io/v1 Lease. */
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(lease_spec, "LeaseSpec", "Who holds it, and until when.",
    STRING("holderIdentity", "Who holds it."),
    INT32("leaseDurationSeconds", "Others must wait so long after renewTime before they take it."),
    TIME("acquireTime", "When the holder got it, to the microsecond.", MICRO),
    TIME("renewTime", "When the holder last said that it goes on, to the microsecond.", MICRO),
    INT32("leaseTransitions", "How often it went from one holder to another."),
    STRING("strategy", "How a holder is chosen, where somebody coordinates that.",
           WARNED("nobody chooses a holder; whoever writes first has it")),
    STRING("preferredHolder", "Who is to get it next, where somebody coordinates that.",
           WARNED("nobody chooses a holder; whoever writes first has it")));

SCHEMA_STATIC(lease, "Lease", "Who holds something for a while.",
    TYPE_META,
    OBJECT("spec", lease_spec, "Who holds it, and until when.", DEFAULT("{}")));
/* clang-format on */

static void lease_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    const struct fpath *p = FPATH("spec");
    (void)old;
    check_at_least(l, value_get(spec, "leaseDurationSeconds"), FPATH_AT(p, "leaseDurationSeconds"), 1);
    check_at_least(l, value_get(spec, "leaseTransitions"), FPATH_AT(p, "leaseTransitions"), 0);
    if (value_path_str(spec, "preferredHolder").n > 0 && value_path_str(spec, "strategy").n == 0) {
        bad_forbidden(l, value_get(spec, "preferredHolder"), FPATH_AT(p, "preferredHolder"),
                      "may only be specified if `strategy` is");
    }
}

static void cell_holder(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_spec(o), "holderIdentity")));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "HOLDER", .cell = cell_holder},
    {.title = "AGE"},
};

const struct kind kind_lease = {
    .id = KIND_LEASE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "Lease",
    .api_version = "coordination.k8s.io/v1",
    .plural = "leases",
    .singular = "lease",
    .short_names = "",
    .namespaced = true,
    .schema = &lease,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = lease_validate,
    .put_makes = true,
    .put_needs_version = true,
};
