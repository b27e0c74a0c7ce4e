/* Who approves or denies a request for a certificate must be allowed to for its signer (auth/signer.h), beside the
 * right to write its part "approval". Source: Kubernetes' admission plugin CertificateApproval. What conditions may be
 * beside each other is the kind's own rule. */
#include "master/admission/row.h"
#include "master/auth/signer.h"
#include "proto/facts/condition.h"

/* Times that who writes a condition does not say. Source: Kubernetes' strategy of CertificateSigningRequests. */
static int give_status(const struct admission *ad, struct admission_change *c, struct error *err)
{
    struct value *conditions = value_path(c->doc, "status.conditions");
    int64_t wall_ms = env_wall_ms(ad->env);
    (void)err;
    VALUE_FOR(i, conditions)
    {
        struct value *now = value_item(conditions, i);
        const char *type = arena_strndup(ad->arena, value_path_str(now, "type").p, value_path_str(now, "type").n);
        const struct value *was = condition_get(value_get(c->before, "status"), type);
        struct value *since = value_get(was, "lastTransitionTime");
        bool same = was != NULL && str_eq(value_path_str(was, "status"), value_path_str(now, "status"));
        if (value_path_str(now, "lastUpdateTime").n == 0) {
            value_set(ad->arena, now, "lastUpdateTime", value_time(ad->arena, wall_ms));
        }
        if (value_path_str(now, "lastTransitionTime").n == 0) {
            value_set(ad->arena, now, "lastTransitionTime",
                      same && since != NULL ? value_copy(ad->arena, since) : value_time(ad->arena, wall_ms));
        }
    }
    return 0;
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    return c->part == TXN_PART_STATUS && str_is(ad->subresource, "approval")
               ? signer_may(ad->tip, ad->who, "approve", c->old, err)
               : 0;
}

const struct admission_row admission_certificate_approval = {
    .name = "CertificateApproval",
    .kinds = {KIND_CERTIFICATESIGNINGREQUEST},
    .operations = ADMISSION_UPDATE,
    .mutates = true,
    .help = "Who approves or denies a request for a certificate must be allowed to `approve` for its signer.",
    .give_status = give_status,
    .check = check,
};
