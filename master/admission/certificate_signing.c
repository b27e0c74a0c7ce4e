/* Who writes the status of a request for a certificate does not decide on it: Approved and Denied are the part
 * "approval". Who writes a certificate, or any condition, must be allowed to for its signer (auth/signer.h). Source:
 * Kubernetes' admission plugin CertificateSigning, and its rules for the status. */
#include "master/admission/row.h"
#include "master/auth/signer.h"
#include "proto/facts/condition.h"
#include "proto/facts/signing.h"

static bool differs(const struct value *a, const struct value *b)
{
    return a == NULL || b == NULL ? a != b : !value_equal(a, b);
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    static const char *const decisions[] = {SIGNING_APPROVED, SIGNING_DENIED};
    const struct value *was = value_get(c->before, "status"), *now = value_get(c->doc, "status");
    if (c->part != TXN_PART_STATUS || str_is(ad->subresource, "approval")) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(decisions); i++) {
        if (differs(condition_get(was, decisions[i]), condition_get(now, decisions[i]))) {
            error_set_field(err, ERR_INVALID, "status.conditions",
                            "%s \"%.*s\" is invalid: status.conditions: Forbidden: updates may not %s a condition of "
                            "type \"%s\"; write the part \"approval\" for that",
                            c->kind->name, STR_ARG(c->old->name),
                            condition_get(was, decisions[i]) == NULL ? "add" : "modify", decisions[i]);
            error_add_cause(err, ERROR_CAUSE_FORBIDDEN, STR("status.conditions"),
                            STR("Forbidden: Approved and Denied are written by the part \"approval\""));
            return ERR_INVALID;
        }
    }
    bool answers = differs(value_get(was, "certificate"), value_get(now, "certificate")) ||
                   differs(value_get(was, "conditions"), value_get(now, "conditions"));
    return answers ? signer_may(ad->tip, ad->who, "sign", c->old, err) : 0;
}

const struct admission_row admission_certificate_signing = {
    .name = "CertificateSigning",
    .kinds = {KIND_CERTIFICATESIGNINGREQUEST},
    .operations = ADMISSION_UPDATE,
    .help = "Who writes certificate or conditions must be allowed to `sign` for the signer, and decides nothing.",
    .check = check,
};
