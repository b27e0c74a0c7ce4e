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
    return ad->who == NULL || access_is_master(ad->who) || !admit_is_record(now) ? 0
                                                                                 : admit_record_of_masters(now, err);
}

bool admit_is_record(const struct object *o)
{
    return (o->kind->id == KIND_CONFIGMAP || o->kind->id == KIND_SECRET) && str_is(o->ns, "kube-system") &&
           str_starts(o->name, STR("reeve-"));
}

int admit_record_of_masters(const struct object *o, struct error *err)
{
    error_set(err, ERR_FORBIDDEN,
              "%s \"%.*s\" is forbidden: names that begin with \"reeve-\" are the masters' own in kube-system; only an "
              "administrator may write them",
              o->kind->plural, STR_ARG(o->name));
    kind_error_about(err, o->kind, o->name);
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
