/* Roles and bindings on their way in. */
#include "master/api/admission.h"
#include "master/auth/access.h"
#include "master/auth/audit_policy.h"

int admit_grant(const struct admission *ad, const struct object *old, const struct object *now, struct error *err)
{
    return ad->who == NULL ? 0 : access_may_grant(ad->tip, ad->who, ad->same_txn, old, now, err);
}

int admit_record(const struct admission *ad, const struct object *old, const struct object *now, struct error *err)
{
    (void)old;
    if (ad->who == NULL || access_is_master(ad->who) || !str_is(now->ns, "kube-system") ||
        !str_starts(now->name, STR("reeve-"))) {
        return 0;
    }
    error_set(err, ERR_FORBIDDEN,
              "%s \"%.*s\" is forbidden: names that begin with \"reeve-\" are the masters' own in kube-system; only an "
              "administrator may write them",
              now->kind->plural, STR_ARG(now->name));
    kind_error_about(err, now->kind, now->name);
    return ERR_FORBIDDEN;
}

int admit_audit_policy(const struct admission *ad, const struct object *old, const struct object *now,
                       struct error *err)
{
    struct audit_policy *policy = NULL;
    (void)ad;
    (void)old;
    if (!str_is(now->ns, "kube-system") || !str_is(now->name, AUDIT_NAME)) {
        return 0;
    }
    int rv = audit_policy_read(mp_str(mp_get(mp_get(object_mp(now), "data"), AUDIT_KEY)), &policy, err);
    audit_policy_free(policy);
    return rv;
}
