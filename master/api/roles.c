/* Roles and bindings on their way in. */
#include "master/api/admission.h"
#include "master/auth/access.h"

int admit_grant(const struct admission *ad, const struct object *old, const struct object *now, struct error *err)
{
    return ad->who == NULL ? 0 : access_may_grant(ad->tip, ad->who, ad->same_txn, old, now, err);
}
