/* Nobody gives more by a role or a binding than he has (auth/access.h). Source: Kubernetes' escalation check. */
#include "master/admission/row.h"
#include "master/auth/access.h"

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    return ad->who == NULL ? 0 : access_may_grant(ad->tip, ad->who, ad->same_txn, c->old, c->now, err);
}

const struct admission_row admission_role_escalation = {
    .name = "RoleEscalation",
    .kinds = {KIND_ROLE, KIND_CLUSTERROLE, KIND_ROLEBINDING, KIND_CLUSTERROLEBINDING},
    .kinds_told = "roles and their bindings",
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .help = "Nobody gives more than he has, unless a role gives him `escalate` or `bind`.",
    .check = check,
};
