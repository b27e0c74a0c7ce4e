/* The cluster's own signer of certificates: an approved request (CertificateSigningRequest) for SIGNER_CLIENT becomes a
 * certificate of the user that its subject names, with the organizations as groups, as `rctl user add` makes them
 * (master/auth/authority.h): so it is revoked as those are. It signs with the CA's key where that is: in the memory of
 * the leader, which alone has controllers. Where nothing can be signed (a simulator, a script without a CA) approved
 * requests wait.
 *
 * What cannot be signed gets the condition Failed with the reason: a request that is at fault, one whose user's
 * certificates were revoked after it was approved, or one for the signers of kubelets, of which there are none.
 * Requests for other signers are others' affair. Source: Kubernetes' signer "kubernetes.io/kube-apiserver-client". */
#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/signing.h"
#include "proto/pki/pki.h"

static int fail(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o, const char *reason,
                const char *message, struct error *err)
{
    struct value *doc = object_to_value(out->arena, o), *status = value_ensure_map(out->arena, doc, "status");
    condition_set(out->arena, status, SIGNING_FAILED, "True", reason, message, in->wall_ms, true);
    value_set(out->arena, condition_get(status, SIGNING_FAILED), "lastUpdateTime", value_time(out->arena, in->wall_ms));
    DECIDED(out, REASON_NOT_SIGNED, .what = str_of(message));
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_STATUS, o->revision, err);
}

static int issue(struct reconcile_out *out, const struct object *o, struct str pem, struct error *err)
{
    struct value *doc = object_to_value(out->arena, o), *status = value_ensure_map(out->arena, doc, "status");
    value_set(out->arena, status, "certificate", value_bin(out->arena, pem.p, pem.n));
    DECIDED(out, REASON_SIGNED);
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_STATUS, o->revision, err);
}

/* Why it cannot be signed, in the arena; NULL: it can. */
static const char *fault_of(struct arena *a, struct mp spec, struct str request, struct pki_subject *subject)
{
    struct error why = {0};
    if (!signing_client_usages(mp_get(spec, "usages"))) {
        return "spec.usages: must have \"client auth\", and beside it \"digital signature\" and \"key encipherment\" "
               "alone";
    }
    if (pki_request_check(request, subject, &why) != 0) {
        return arena_printf(a, "spec.request: %s", why.message);
    }
    if (subject->name[0] == '\0') {
        return "spec.request: the subject must have one common name (CN), of at most 253 bytes of plain text: it is "
               "the user";
    }
    if (!subject->fits) {
        return arena_printf(a,
                            "spec.request: the organizations (O) of the subject are the user's groups: at most %u, of "
                            "%u bytes of plain text in all",
                            PKI_GROUPS_MAX, PKI_GROUPS_SIZE);
    }
    if (subject->own || subject->system) {
        return "spec.request: names and organizations that begin with system: or reeve: are the cluster's own";
    }
    return NULL;
}

/* When somebody said yes. Times are what he wrote: one in the future counts as the time at which it was asked for. */
static int64_t approved_ms(const struct reconcile_in *in, const struct object *o)
{
    int64_t ms = time_of_mp(mp_get(condition_mp(o, SIGNING_APPROVED), "lastUpdateTime"));
    return ms == 0 || ms > in->wall_ms ? object_created_ms(o) : ms;
}

static int sign_client(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                       struct error *err)
{
    struct mp spec = object_spec(o), m = mp_get(spec, "request");
    struct str request = STR_NONE, pem = STR_NONE;
    struct pki_subject subject;
    mp_read_bin(&m, &request);
    const char *fault = fault_of(out->arena, spec, request, &subject);
    if (fault == NULL && in->soft->sign_user == NULL) {
        return 0;
    }
    if (fault == NULL) {
        int rv =
            in->soft->sign_user(in->soft->data, out->arena, &subject, arena_strndup(out->arena, request.p, request.n),
                                mp_int(mp_get(spec, "expirationSeconds"), 0), approved_ms(in, o),
                                mp_str(mp_get(spec, "username")), &pem, err);
        if (rv == ERR_FORBIDDEN) {
            return fail(in, out, o, "Revoked", arena_strdup(out->arena, err->message), err);
        }
        if (rv != 0 && rv != ERR_INVALID) {
            return rv; /* not now: it is tried again, ever more rarely */
        }
        fault = rv == 0 ? NULL : arena_printf(out->arena, "spec.request: %s", err->message);
    }
    return fault == NULL ? issue(out, o, pem, err) : fail(in, out, o, "SignerValidationFailure", fault, err);
}

static int certificates_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || o->deleting || !signing_has(o, SIGNING_APPROVED) || signing_has(o, SIGNING_DENIED) ||
        signing_has(o, SIGNING_FAILED) || signing_certificate(o).n > 0) {
        return 0;
    }
    struct str signer = mp_str(mp_get(object_spec(o), "signerName"));
    if (signing_is_of_kubelets(signer)) {
        return fail(in, out, o, "SignerNotServed", SIGNING_NO_KUBELETS, err);
    }
    return str_is(signer, SIGNER_CLIENT) ? sign_client(in, out, o, err) : 0;
}

static const struct controller_watch watches[] = {{KIND_CERTIFICATESIGNINGREQUEST, map_self}, {0, NULL}};
const struct controller controller_certificates = {
    .name = "certificates", .watches = watches, .reconcile = certificates_reconcile};
