/* What the account of a new pod gives it. */
#include "controllers/accounts.h"
#include "master/api/admission.h"

int admit_account(const struct admission *ad, const struct value *before, struct value *doc, struct error *err)
{
    (void)err;
    if (before == NULL) {
        accounts_give_pod(ad->tip, ad->arena, doc);
    }
    return 0;
}
