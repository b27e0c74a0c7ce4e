#include "master/auth/principal.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ACCOUNT_PREFIX "system:serviceaccount:"

static const char *const proof_words[] = {"", "certificate", "token", "impersonated", "later"};

static_assert(offsetof(struct principal, name) - offsetof(struct principal, role) ==
                  offsetof(struct pki_identity, name),
              "one and the same");

/* The organisation in its certificates (pki.h). */
static const char *group_of(enum pki_role role)
{
    switch (role) {
    case PKI_ROLE_MASTER:
        return "reeve:masters";
    case PKI_ROLE_NODE:
        return "reeve:nodes";
    case PKI_ROLE_ADMIN:
        return "reeve:admins";
    case PKI_ROLE_USER:
    case PKI_ROLE_NONE:
        break;
    }
    return NULL;
}

/* What the same is in Kubernetes' words. */
static const char *known_group_of(enum pki_role role)
{
    return role == PKI_ROLE_ADMIN ? "system:masters" : role == PKI_ROLE_NODE ? "system:nodes" : NULL;
}

static size_t groups_size(const struct principal *p)
{
    size_t n = 0;
    for (unsigned i = 0; i < p->groups_count; i++) {
        n += strlen(p->groups + n) + 1;
    }
    return n;
}

int principal_add_group(struct principal *p, struct str group, struct error *err)
{
    size_t used = groups_size(p);
    if (group.n == 0 || memchr(group.p, '\0', group.n) != NULL) {
        return error_set(err, ERR_INVALID, "the name of a group must be a text that is not empty");
    }
    if (p->groups_count == PRINCIPAL_GROUPS_MAX || used + group.n + 1 > sizeof p->groups) {
        return error_set(err, ERR_LIMIT, "\"%s\" is in too many groups: at most %u with %u bytes are taken", p->name,
                         PRINCIPAL_GROUPS_MAX, PRINCIPAL_GROUPS_BYTES);
    }
    memcpy(p->groups + used, group.p, group.n);
    p->groups[used + group.n] = '\0';
    p->groups_count++;
    return 0;
}

static void add_groups_of_certificate(struct principal *p)
{
    const char *group = group_of(p->role), *known = known_group_of(p->role);
    bool stranger = p->role == PKI_ROLE_NONE;
    int rv = group == NULL ? 0 : principal_add_group(p, str_of(group), NULL);
    rv = rv != 0 || known == NULL ? rv : principal_add_group(p, str_of(known), NULL);
    rv = rv != 0 ? rv
                 : principal_add_group(p, stranger ? STR("system:unauthenticated") : STR("system:authenticated"), NULL);
    assert(rv == 0);
    (void)rv;
}

void principal_of_certificate(struct principal *p, const struct pki_identity *who, const struct pki_facts *facts)
{
    *p = (struct principal){.role = who->role};
    memcpy(p->name, who->name, sizeof p->name);
    if (who->role != PKI_ROLE_NONE) {
        p->proof = PROOF_CERTIFICATE;
        p->facts = facts == NULL ? p->facts : *facts;
    }
    add_groups_of_certificate(p);
}

static_assert(PKI_GROUPS_SIZE + sizeof "system:authenticated" <= PRINCIPAL_GROUPS_BYTES &&
                  PKI_GROUPS_MAX < PRINCIPAL_GROUPS_MAX,
              "those of a certificate fit");

void principal_of_user(struct principal *p, const struct pki_identity *who, const struct pki_facts *facts,
                       const char *groups)
{
    principal_of_certificate(p, who, facts);
    if (who->role == PKI_ROLE_USER) {
        p->groups_count = 0;
        for (const char *g = groups; *g != '\0'; g += strlen(g) + 1) {
            principal_add_group(p, str_of(g), NULL);
        }
        add_groups_of_certificate(p);
    }
}

struct principal *principal_share(const struct principal *p)
{
    struct principal *copy = xmalloc(sizeof *copy);
    *copy = *p;
    copy->refs = 1;
    return copy;
}

static bool same_token(const struct principal_token *a, const struct principal_token *b)
{
    return a->until_s == b->until_s && strcmp(a->uid, b->uid) == 0 && a->bound == b->bound &&
           strcmp(a->name, b->name) == 0 && strcmp(a->bound_uid, b->bound_uid) == 0 && strcmp(a->id, b->id) == 0;
}

bool principal_same(const struct principal *a, const struct principal *b)
{
    const struct pki_facts *f = &a->facts, *g = &b->facts;
    bool plain = a->as == NULL && b->as == NULL && a->proof <= PROOF_TOKEN && b->proof <= PROOF_TOKEN;
    size_t groups = groups_size(a);
    return plain && same_token(&a->token, &b->token) && a->proof == b->proof && a->role == b->role &&
           strcmp(a->name, b->name) == 0 && a->forwarded_by == b->forwarded_by && strcmp(f->serial, g->serial) == 0 &&
           strcmp(f->ca, g->ca) == 0 && f->from_s == g->from_s && f->until_s == g->until_s &&
           f->issued_ms == g->issued_ms && a->groups_count == b->groups_count && groups == groups_size(b) &&
           memcmp(a->groups, b->groups, groups) == 0;
}

struct principal *principal_ref(struct principal *p)
{
    assert(p->refs > 0);
    p->refs++;
    return p;
}

void principal_as_free(struct principal_as *as)
{
    if (as != NULL) {
        principal_unref(as->by);
        buf_close(&as->extra);
        free(as);
    }
}

void principal_unref(struct principal *p)
{
    assert(p == NULL || p->refs > 0);
    if (p != NULL && --p->refs == 0) {
        principal_as_free(p->as);
        free(p);
    }
}

bool principal_next_group(const struct principal *p, struct str *group)
{
    const char *next = group->p == NULL ? p->groups : group->p + group->n + 1;
    if (p->groups_count == 0 || next == p->groups + groups_size(p)) {
        return false;
    }
    *group = str_of(next);
    return true;
}

void principal_own_groups(const struct principal *p, char out[PRINCIPAL_GROUPS_BYTES + 1])
{
    size_t used = 0;
    memset(out, 0, PRINCIPAL_GROUPS_BYTES + 1);
    for (struct str g = STR_NONE; p->role == PKI_ROLE_USER && principal_next_group(p, &g);) {
        if (!str_is(g, "system:authenticated")) {
            memcpy(out + used, g.p, g.n);
            used += g.n + 1;
        }
    }
}

/* ---- Between masters ---- */

static void write_token(struct buf *b, const struct principal_token *t)
{
    mp_write_cstr(b, "token");
    mp_write_map(b, 6);
    mp_write_key_int(b, "until", t->until_s);
    mp_write_key_str(b, "uid", str_of(t->uid));
    mp_write_key_int(b, "bound", t->bound);
    mp_write_key_str(b, "name", str_of(t->name));
    mp_write_key_str(b, "boundUid", str_of(t->bound_uid));
    mp_write_key_str(b, "id", str_of(t->id));
}

static void write_as(struct buf *b, const struct principal_as *as)
{
    mp_write_cstr(b, "as");
    mp_write_map(b, 3 + (as->extra.size > 0));
    mp_write_cstr(b, "by");
    principal_write(b, as->by);
    mp_write_key_int(b, "groupsAsked", as->groups_asked);
    mp_write_key_str(b, "uid", str_of(as->uid));
    if (as->extra.size > 0) {
        mp_write_cstr(b, "extra");
        buf_append(b, as->extra.data, as->extra.size);
    }
}

void principal_write(struct buf *b, const struct principal *p)
{
    bool token = p->proof == PROOF_TOKEN;
    mp_write_map(b, 7u + token + (p->as != NULL));
    mp_write_key_int(b, "role", p->role);
    mp_write_key_str(b, "name", str_of(p->name));
    mp_write_key_str(b, "serial", str_of(p->facts.serial));
    mp_write_key_str(b, "ca", str_of(p->facts.ca));
    mp_write_key_int(b, "issuedMs", p->facts.issued_ms);
    mp_write_key_str(b, "proof", str_of(proof_words[p->proof]));
    mp_write_cstr(b, "groups");
    mp_write_array(b, p->groups_count);
    for (struct str g = STR_NONE; principal_next_group(p, &g);) {
        mp_write_str(b, g);
    }
    if (token) {
        write_token(b, &p->token);
    }
    if (p->as != NULL) {
        write_as(b, p->as);
    }
}

static bool take_text(char *to, size_t size, struct str s)
{
    if (s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)) {
        return false;
    }
    snprintf(to, size, "%.*s", STR_ARG(s));
    return true;
}

/* What is of no account has no uid, and what has one is called as accounts are: bearer.c counts on it. */
static bool read_token(struct mp m, const struct principal *p, struct principal_token *t)
{
    int64_t bound = mp_int(mp_get(m, "bound"), 0);
    const char *colon = strncmp(p->name, ACCOUNT_PREFIX, sizeof ACCOUNT_PREFIX - 1) == 0
                            ? strchr(p->name + sizeof ACCOUNT_PREFIX - 1, ':')
                            : NULL;
    t->until_s = mp_int(mp_get(m, "until"), 0);
    t->bound = (char)(bound == 'p' || bound == 's' || bound == 'n' || bound == 'b' ? bound : 0);
    return p->role == PKI_ROLE_USER && mp_type(m) == MP_MAP &&
           take_text(t->uid, sizeof t->uid, mp_str(mp_get(m, "uid"))) &&
           take_text(t->name, sizeof t->name, mp_str(mp_get(m, "name"))) &&
           take_text(t->bound_uid, sizeof t->bound_uid, mp_str(mp_get(m, "boundUid"))) &&
           take_text(t->id, sizeof t->id, mp_str(mp_get(m, "id"))) && (t->uid[0] == '\0') == (colon == NULL);
}

/* Who asks as him; nobody asks as him who asks as another one. */
static bool read_as(struct mp m, uint64_t forwarded_by, struct principal *p)
{
    struct mp extra = mp_get(m, "extra");
    struct principal by;
    size_t extra_size = (size_t)(extra.end - extra.p);
    if (mp_type(mp_get(mp_get(m, "by"), "as")) != MP_NONE ||
        principal_read(mp_get(m, "by"), forwarded_by, &by, NULL) != 0) {
        return false;
    }
    p->as = xcalloc(1, sizeof *p->as);
    p->as->by = principal_share(&by);
    p->as->groups_asked = (unsigned)mp_int(mp_get(m, "groupsAsked"), PRINCIPAL_GROUPS_MAX);
    if (mp_type(extra) == MP_MAP) {
        buf_append(&p->as->extra, extra.p, extra_size);
    }
    if (extra_size > PRINCIPAL_EXTRA_MAX || !take_text(p->as->uid, sizeof p->as->uid, mp_str(mp_get(m, "uid")))) {
        principal_as_free(TAKE_PTR(p->as));
        return false;
    }
    return true;
}

static enum proof proof_of(struct str word)
{
    return str_is(word, proof_words[PROOF_NONE])           ? PROOF_NONE
           : str_is(word, proof_words[PROOF_CERTIFICATE])  ? PROOF_CERTIFICATE
           : str_is(word, proof_words[PROOF_TOKEN])        ? PROOF_TOKEN
           : str_is(word, proof_words[PROOF_IMPERSONATED]) ? PROOF_IMPERSONATED
                                                           : PROOF_LATER;
}

int principal_read(struct mp m, uint64_t forwarded_by, struct principal *p, struct error *err)
{
    int64_t role = mp_int(mp_get(m, "role"), -1);
    struct mp groups = mp_get(m, "groups"), proof = mp_get(m, "proof");
    *p = (struct principal){.forwarded_by = forwarded_by, .facts.issued_ms = mp_int(mp_get(m, "issuedMs"), 0)};
    bool good = role >= PKI_ROLE_NONE && role <= PKI_ROLE_USER &&
                take_text(p->name, sizeof p->name, mp_str(mp_get(m, "name"))) &&
                take_text(p->facts.serial, sizeof p->facts.serial, mp_str(mp_get(m, "serial"))) &&
                take_text(p->facts.ca, sizeof p->facts.ca, mp_str(mp_get(m, "ca")));
    p->role = good ? (enum pki_role)role : PKI_ROLE_NONE;
    p->proof = mp_type(proof) == MP_STR   ? proof_of(mp_str(proof))
               : p->role != PKI_ROLE_NONE ? PROOF_CERTIFICATE
                                          : PROOF_NONE;
    if (good && p->proof == PROOF_TOKEN) {
        good = read_token(mp_get(m, "token"), p, &p->token);
    }
    if (good && mp_type(groups) == MP_ARRAY) {
        for (struct mp_iter it = mp_iter(groups); good && mp_next(&it);) {
            good = mp_type(it.value) == MP_STR && principal_add_group(p, mp_str(it.value), NULL) == 0;
        }
    } else if (good) {
        add_groups_of_certificate(p);
    }
    if (good && p->proof == PROOF_IMPERSONATED) { /* as nobody it must not count: he could ask for himself */
        good = p->role == PKI_ROLE_USER && read_as(mp_get(m, "as"), forwarded_by, p);
    }
    return good ? 0
                : error_set(err, ERR_PROTOCOL, "forward from master %llu: malformed identity",
                            (unsigned long long)forwarded_by);
}
