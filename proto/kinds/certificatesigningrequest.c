/* CertificateSigningRequest: somebody asks for a certificate, somebody who may says yes, and a signer makes it.
 * Source: Kubernetes certificates.k8s.io/v1. Who may do what is asked in admission (master/admission/certificate_*.c);
 * the cluster's own signer is controllers/cluster/certificates.c. */
#include <string.h>

#include "base/timefmt.h"
#include "proto/describe/parts.h"
#include "proto/facts/condition.h"
#include "proto/facts/signing.h"
#include "proto/kinds/kinds.h"
#include "proto/pki/pki.h"
#include "proto/schema/release.h"

#define WIDTH           20
#define SIGNER_PATH_MAX (253u + 63u + 1u)
#define USAGES                                                                                                         \
    "signing|digital signature|content commitment|key encipherment|key agreement|data encipherment|cert sign|crl "     \
    "sign|encipher only|decipher only|any|server auth|client auth|code signing|email protection|s/mime|ipsec end "     \
    "system|ipsec tunnel|ipsec user|timestamping|ocsp signing|microsoft sgc|netscape sgc"

/* clang-format off */
SCHEMA_STATIC(csr_condition, "CertificateSigningRequestCondition", "Where the request stands.",
    STRING("type", "Approved, Denied or Failed, or another word of who decides."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."),
    TIME("lastUpdateTime", "When it was last written."),
    TIME("lastTransitionTime", "When its status last changed."),
    STRING("status", "True, of those three; False or Unknown of others.", REQUIRED));

SCHEMA_STATIC(csr_spec, "CertificateSigningRequestSpec", "What is asked for. It cannot be changed.",
    ROW("request", FIELD_BYTES, "The request: PEM of the type CERTIFICATE REQUEST (PKCS #10), signed by its own key.",
        REQUIRED),
    STRING("username", "Who has made it; written by the cluster.", READONLY),
    STRING("uid", "Likewise, its uid.", READONLY),
    STRINGS("groups", "Likewise, its groups.", READONLY),
    STRINGS("usages", "What the certificate is to be good for: `client auth`, `digital signature`, ...", REQUIRED,
            ONE_OF(USAGES)),
    ROW("extra", FIELD_ANY, "What else is known of who has made it: lists of texts by name.", .shape = SHAPE_MAP,
        READONLY),
    STRING("signerName", "Who is to sign it: DOMAIN/NAME. The cluster's own CA signs for " SIGNER_CLIENT ".", REQUIRED),
    INT32("expirationSeconds", "How long the certificate is to be good, 600 or more; the signer may make it shorter."));

SCHEMA_STATIC(csr_status, "CertificateSigningRequestStatus", "What was decided, and the certificate.",
    OBJECTS("conditions", csr_condition, "Approved or Denied, never both; Failed: no certificate comes. None of these "
            "is ever taken away."),
    ROW("certificate", FIELD_BYTES, "The certificate in PEM; certificates of who has signed it may follow."));

SCHEMA_STATIC(csr, "CertificateSigningRequest", "Asks for a certificate, which a signer makes when it was approved.",
    TYPE_META,
    OBJECT("spec", csr_spec, "What is asked for. It cannot be changed.", REQUIRED),
    OBJECT("status", csr_status, "What was decided, and the certificate.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Rules ---- */

static struct str bytes_of(const struct value *v)
{
    return v != NULL && v->type == VALUE_BIN ? v->str : STR_NONE;
}

/* Labels of DNS with dots between them; *count: how many. */
static bool are_labels(struct str s, unsigned *count)
{
    for (*count = 1;; ++*count) {
        const char *dot = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
        size_t n = dot == NULL ? s.n : (size_t)(dot - s.p);
        if (!name_is_dns_label((struct str){s.p, n})) {
            return false;
        }
        if (dot == NULL) {
            return true;
        }
        s = (struct str){dot + 1, s.n - n - 1};
    }
}

static void check_signer(struct errlist *l, const struct value *spec, const struct fpath *p)
{
    const struct value *v = value_get(spec, "signerName");
    struct str s = value_to_str(v);
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    unsigned labels;
    if (s.n == 0) {
        return; /* that is told by the table */
    }
    struct str domain = {s.p, slash == NULL ? 0 : (size_t)(slash - s.p)};
    struct str path = {slash == NULL ? s.p : slash + 1, slash == NULL ? 0 : s.n - domain.n - 1};
    if (slash == NULL || memchr(path.p, '/', path.n) != NULL) {
        bad_value(l, v, p, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    } else if (domain.n > 253) {
        bad_too_long(l, v, p, 253);
    } else if (!are_labels(domain, &labels)) {
        bad_value(l, v, p, "in front of '/' must stand a domain of DNS labels (such as 'example.com')");
    } else if (labels < 2) {
        bad_value(l, v, p, "should be a domain with at least two segments separated by dots");
    } else if (path.n > SIGNER_PATH_MAX) {
        bad_too_long(l, v, p, 253 + 1 + SIGNER_PATH_MAX);
    } else if (!are_labels(path, &labels)) {
        bad_value(l, v, p, "behind '/' must stand DNS labels separated by dots (such as 'signer-name')");
    } else if (str_is(s, SIGNER_LEGACY)) {
        bad_value(l, v, p, "the legacy signerName is not allowed via this API version");
    }
}

static void check_usages(struct errlist *l, const struct value *usages, const struct fpath *p)
{
    if (usages != NULL && value_count(usages) == 0) {
        bad_required(l, usages, p);
    }
    VALUE_FOR(i, usages)
    {
        for (unsigned k = 0; k < i; k++) {
            if (value_equal(value_item(usages, k), value_item(usages, i))) {
                bad_duplicate(l, value_item(usages, i), FPATH_ITEM(p, i));
                break;
            }
        }
    }
}

static void check_request(struct errlist *l, const struct value *v, const struct fpath *p)
{
    struct error err = {0};
    if (v != NULL && pki_request_check(bytes_of(v), NULL, &err) != 0) {
        errlist_add(l, ERROR_CAUSE_INVALID, v, fpath_text(l->arena, p), "Invalid value: %s", err.message);
    }
}

static bool is_decision(struct str type)
{
    return str_is(type, SIGNING_APPROVED) || str_is(type, SIGNING_DENIED) || str_is(type, SIGNING_FAILED);
}

static void check_condition(struct errlist *l, const struct value *conditions, unsigned i, const struct fpath *p)
{
    const struct value *c = value_item(conditions, i), *status = value_get(c, "status");
    struct str type = value_path_str(c, "type");
    if (type.n == 0) {
        bad_required(l, c, FPATH_AT(p, "type"));
    }
    if (value_to_str(status).n > 0 &&
        !in_choices(value_to_str(status), is_decision(type) ? "True" : "True|False|Unknown")) {
        bad_choice(l, status, FPATH_AT(p, "status"), is_decision(type) ? "True" : "True|False|Unknown");
    }
    if (type.n > 0 && value_find((struct value *)conditions, "type", type) != c) {
        bad_duplicate(l, value_get(c, "type"), FPATH_AT(p, "type"));
    }
    const char *other = str_is(type, SIGNING_APPROVED) ? SIGNING_DENIED
                        : str_is(type, SIGNING_DENIED) ? SIGNING_APPROVED
                                                       : NULL;
    for (unsigned k = 0; other != NULL && k < i; k++) {
        if (str_is(value_path_str(value_item(conditions, k), "type"), other)) {
            bad_value(l, value_get(c, "type"), FPATH_AT(p, "type"),
                      "Approved and Denied conditions are mutually exclusive");
        }
    }
}

static void check_status(struct errlist *l, const struct value *status, const struct value *old, const struct fpath *p)
{
    static const char *const kept[] = {SIGNING_APPROVED, SIGNING_DENIED, SIGNING_FAILED};
    const struct value *conditions = value_get(status, "conditions"), *certificate = value_get(status, "certificate");
    struct error err = {0};
    const struct fpath *at = FPATH_AT(p, "conditions");
    VALUE_FOR(i, conditions)
    {
        check_condition(l, conditions, i, FPATH_ITEM(at, i));
    }
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (condition_get(old, kept[i]) != NULL && condition_get(status, kept[i]) == NULL) {
            bad_forbidden(l, status, at,
                          arena_printf(l->arena, "updates may not remove a condition of type \"%s\"", kept[i]));
        }
    }
    struct str was = bytes_of(value_get(old, "certificate")), now = bytes_of(certificate);
    if (was.n > 0 && !str_eq(was, now)) {
        bad_forbidden(l, status, FPATH_AT(p, "certificate"), "updates may not modify existing certificate content");
    } else if (now.n > 0 && was.n == 0 && pki_certs_check(now, &err) != 0) {
        errlist_add(l, ERROR_CAUSE_INVALID, certificate, fpath_text(l->arena, FPATH_AT(p, "certificate")),
                    "Invalid value: %s", err.message);
    }
}

/* The spec of an object that is there is what it was (csr_keep), and was checked then. */
static void csr_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec");
    const struct fpath *p = FPATH("spec");
    const struct value *life = value_get(spec, "expirationSeconds");
    if (old == NULL) {
        check_request(l, value_get(spec, "request"), FPATH_AT(p, "request"));
        check_usages(l, value_get(spec, "usages"), FPATH_AT(p, "usages"));
        check_signer(l, spec, FPATH_AT(p, "signerName"));
        if (life != NULL && value_to_int(life, 0) < SIGNING_LIFE_MIN_S) {
            bad_value(l, life, FPATH_AT(p, "expirationSeconds"),
                      "may not specify a duration less than 600 seconds (10 minutes)");
        }
    } else {
        check_status(l, value_get(obj, "status"), value_get(old, "status"), FPATH("status"));
    }
}

/* Nothing of it can be changed, and a document that says otherwise is not refused, as in Kubernetes. */
static void csr_keep(struct arena *a, struct value *obj, const struct value *old)
{
    struct value *spec = value_get(old, "spec");
    if (spec != NULL) {
        value_set(a, obj, "spec", value_copy(a, spec));
    }
}

static void csr_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct str signer = value_path_str(obj, "spec.signerName");
    if (signing_is_of_kubelets(signer) && out->count < KIND_WARNINGS_MAX) {
        out->items[out->count++] =
            arena_printf(a, "spec.signerName: %.*s signs nothing: " SIGNING_NO_KUBELETS, STR_ARG(signer));
    }
}

/* ---- Columns ---- */

static void cell_signer(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_spec(o), "signerName"));
}

static void cell_requestor(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_spec(o), "username")));
}

static void cell_duration(struct buf *out, const struct object *o, int64_t now_ms)
{
    int64_t s = mp_int(mp_get(object_spec(o), "expirationSeconds"), -1);
    char text[TIMEFMT_SIZE];
    (void)now_ms;
    if (s < 0) {
        buf_puts(out, "<none>");
        return;
    }
    timefmt_age(s * 1000, text);
    buf_puts(out, text);
}

static void cell_condition(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, signing_has(o, SIGNING_DENIED)     ? "Denied"
                  : signing_has(o, SIGNING_APPROVED) ? "Approved"
                                                     : "Pending");
    buf_puts(out, signing_has(o, SIGNING_FAILED) ? ",Failed" : "");
    buf_puts(out, signing_certificate(o).n > 0 ? ",Issued" : "");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "AGE"},
    {.title = "SIGNERNAME", .cell = cell_signer},
    {.title = "REQUESTOR", .cell = cell_requestor},
    {.title = "REQUESTEDDURATION", .cell = cell_duration},
    {.title = "CONDITION", .cell = cell_condition},
};

/* ---- Description ---- */

/* Who approves must see that there is more than he sees. */
#define NOT_SHOWN STR("<cannot be shown: look at spec.request>")

static void describe_subject(struct buf *out, struct str request)
{
    struct pki_subject subject;
    CLEANUP_BUF struct buf names = BUF_INIT;
    if (pki_request_check(request, &subject, NULL) != 0) {
        describe_text(out, 0, WIDTH, "Subject:", NOT_SHOWN);
        return;
    }
    describe_label(out, 0, WIDTH, "Subject:");
    buf_putc(out, '\n');
    describe_text(out, 1, WIDTH - 2,
                  "Common Name:", subject.named && subject.name[0] == '\0' ? NOT_SHOWN : str_of(subject.name));
    const char *label = "Organization:";
    for (const char *g = subject.groups; *g != '\0'; g += strlen(g) + 1, label = "") {
        describe_text(out, 1, WIDTH - 2, label, str_of(g));
    }
    if (!subject.fits) {
        describe_text(out, 1, WIDTH - 2, label, NOT_SHOWN);
    }
    pki_request_names(request, &names);
    if (names.size > 0) {
        buf_puts(out, "Subject Alternative Names:\n");
        describe_indented(out, buf_cstr(&names));
    }
}

static void csr_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = object_spec(o), m = mp_get(spec, "request");
    struct str request = STR_NONE;
    describe_head(out, o, WIDTH);
    describe_time(out, 0, WIDTH, "CreationTimestamp:", mp_str(mp_path(object_mp(o), "metadata.creationTimestamp")));
    describe_text(out, 0, WIDTH, "Requesting User:", mp_str(mp_get(spec, "username")));
    describe_text(out, 0, WIDTH, "Signer:", mp_str(mp_get(spec, "signerName")));
    if (mp_type(mp_get(spec, "expirationSeconds")) != MP_NONE) {
        describe_label(out, 0, WIDTH, "Requested Duration:");
        cell_duration(out, o, c->now_ms);
        buf_putc(out, '\n');
    }
    describe_label(out, 0, WIDTH, "Status:");
    cell_condition(out, o, c->now_ms);
    buf_putc(out, '\n');
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.conditions")); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type")), message = mp_str(mp_get(it.value, "message"));
        if (message.n > 0) {
            buf_printf(out, "  %.*s: %.*s\n", STR_ARG(type), STR_ARG(message));
        }
    }
    if (mp_read_bin(&m, &request)) {
        describe_subject(out, request);
    }
    describe_events(out, c);
}

const struct kind kind_certificatesigningrequest = {
    .id = KIND_CERTIFICATESIGNINGREQUEST,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "CertificateSigningRequest",
    .api_version = SIGNING_GROUP "/v1",
    .plural = "certificatesigningrequests",
    .singular = "certificatesigningrequest",
    .short_names = "csr",
    .names = NAMES_KEY,
    .has_status = true,
    .has_approval = true,
    .selectable = "spec.signerName",
    .schema = &csr,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = csr_validate,
    .keep = csr_keep,
    .doubt = csr_doubt,
    .describe = csr_describe,
};
