/* A request for a certificate says who has made it, whatever its document says; and of the cluster's own signer nobody
 * asks to be one of the cluster's own. Source: Kubernetes' strategy of CertificateSigningRequests, and its admission
 * plugin CertificateSubjectRestriction. The names are those that `rctl user add` refuses (auth/user_call.c). */
#include "master/admission/row.h"
#include "master/auth/access.h"
#include "master/auth/bearer.h"
#include "proto/facts/signing.h"

/* "uid" and "extra", as far as they are known. */
static int give_more(const struct admission *ad, struct value *spec, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const struct principal *p = ad->who;
    const struct principal_as *as = p->as;
    struct value *more = NULL;
    mp_write_map(&b, bearer_more(p));
    bearer_write_more(&b, p);
    int rv = msgpack_read_value(ad->arena, b.data, b.size, &more, err);
    if (rv != 0) {
        return rv;
    }
    struct value *uid = value_get(more, "uid"), *extra = value_get(more, "extra");
    if (as != NULL && as->uid[0] != '\0') {
        uid = value_cstr(ad->arena, as->uid);
    }
    if (as != NULL && as->extra.size > 0 &&
        (rv = msgpack_read_value(ad->arena, as->extra.data, as->extra.size, &extra, err)) != 0) {
        return rv;
    }
    if (uid != NULL) {
        value_set(ad->arena, spec, "uid", uid);
    }
    if (value_count(extra) > 0) {
        value_set(ad->arena, spec, "extra", extra);
    }
    return 0;
}

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    static const char *const who_rows[] = {"username", "uid", "groups", "extra"};
    struct value *spec = value_ensure_map(ad->arena, c->doc, "spec");
    struct access_who who;
    for (size_t i = 0; i < ARRAY_SIZE(who_rows); i++) {
        value_remove(spec, who_rows[i]);
    }
    if (ad->who == NULL) {
        return 0;
    }
    access_who(ad->who, &who);
    value_set(ad->arena, spec, "username", value_str(ad->arena, who.subject.user));
    struct value *groups = value_list(ad->arena);
    for (unsigned i = 0; i < who.subject.groups_count; i++) {
        value_append(ad->arena, groups, value_str(ad->arena, who.subject.groups[i]));
    }
    if (who.subject.groups_count > 0) {
        value_set(ad->arena, spec, "groups", groups);
    }
    return give_more(ad, spec, err);
}

static int refuse(const struct object *o, const char *why, struct error *err)
{
    return error_set(err, ERR_FORBIDDEN, "%s." SIGNING_GROUP " \"%.*s\" is forbidden: %s", o->kind->plural,
                     STR_ARG(o->name), why);
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    struct mp spec = object_spec(c->now), m = mp_get(spec, "request");
    struct pki_subject subject;
    struct str request = STR_NONE;
    (void)ad;
    if (!str_is(mp_str(mp_get(spec, "signerName")), SIGNER_CLIENT)) {
        return 0;
    }
    if (!mp_read_bin(&m, &request) || pki_request_check(request, &subject, err) != 0) {
        return refuse(c->now, "its request cannot be read", err);
    }
    if (subject.masters) {
        return refuse(c->now, "use of " SIGNER_CLIENT " signer with " ACCESS_MASTERS " group is not allowed", err);
    }
    return !subject.own && !subject.system
               ? 0
               : refuse(c->now,
                        "its subject has a name (CN) or an organization (O) that begins with system: or reeve:, and "
                        "these are the cluster's own",
                        err);
}

const struct admission_row admission_certificate_request = {
    .name = "CertificateSubjectRestriction",
    .kinds = {KIND_CERTIFICATESIGNINGREQUEST},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A request for a certificate says who has made it; nobody asks for a name or group of the cluster's own.",
    .give = give,
    .check = check,
};
