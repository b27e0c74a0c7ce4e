/* A policy of the audit that cannot be read is refused (auth/audit_policy.h). */
#include "master/auth/audit_policy.h"
#include "master/admission/row.h"

static const struct object *policy_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_CONFIGMAP), STR("kube-system"), STR(AUDIT_NAME));
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    struct audit_policy *policy = NULL;
    const struct object *now = c->now;
    (void)ad;
    if (!str_is(now->ns, "kube-system") || !str_is(now->name, AUDIT_NAME)) {
        return 0;
    }
    int rv = audit_policy_read(mp_str(mp_get(mp_get(object_mp(now), "data"), AUDIT_KEY)), &policy, err);
    audit_policy_free(policy);
    return rv;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    (void)a;
    (void)on;
    return policy_in(v) == NULL ? "nothing is recorded" : "requests are recorded";
}

const struct admission_row admission_audit_policy = {
    .name = "AuditPolicy",
    .kinds = {KIND_CONFIGMAP},
    .kinds_told = "configmap kube-system/" AUDIT_NAME,
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .help = "The policy by which masters record requests can be read.",
    .check = check,
    .setting = setting,
};
