/* Roles and bindings on their way in. */
#include "master/api/admission.h"
#include "master/auth/access.h"

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
