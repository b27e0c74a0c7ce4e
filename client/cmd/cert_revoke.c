/* rctl cert revoke, rctl cert revoked: certificates that count no more before they end. */
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/cert.h"
#include "client/cmd/cert_follow.h"
#include "client/cmd/common.h"
#include "proto/pki/pki.h"

/* ---- cert revoke ---- */

/* What nobody would call a node or user: the serial numbers of a cluster's certificates have 32 or 34 digits. */
static bool is_serial(const char *s)
{
    size_t digits = 0;
    for (const char *p = s; *p != '\0'; p++) {
        digits += *p != ':';
    }
    return digits >= 32 && digits < PKI_SERIAL_SIZE && strspn(s, "0123456789abcdefABCDEF:") == strlen(s);
}

/* As openssl prints it (upper case, colons), too. */
static const char *serial_of(struct arena *a, const char *s)
{
    char *out = arena_strdup(a, s), *to = out;
    for (const char *p = s; *p != '\0'; p++) {
        if (*p != ':') {
            *to++ = (char)(*p >= 'A' && *p <= 'F' ? *p - 'A' + 'a' : *p);
        }
    }
    *to = '\0';
    return out;
}

/* NAME, node/NAME, user/NAME, SERIAL, serial/SERIAL. */
static struct value *target_of(struct rctl *r, const char *word)
{
    static const struct {
        const char *prefix, *role;
    } rows[] = {{"node/", "node"},   {"nodes/", "node"},    {"user/", "admin"},     {"users/", "admin"},
                {"admin/", "admin"}, {"master/", "master"}, {"masters/", "master"}, {"serial/", NULL}};
    struct arena *a = &r->arena;
    struct value *params = value_map(a);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = strlen(rows[i].prefix);
        if (strncmp(word, rows[i].prefix, n) == 0 && rows[i].role != NULL) {
            value_set(a, params, "name", value_cstr(a, word + n));
            value_set(a, params, "role", value_cstr(a, rows[i].role));
            return params;
        }
        if (strncmp(word, rows[i].prefix, n) == 0) {
            value_set(a, params, "serial", value_cstr(a, serial_of(a, word + n)));
            return params;
        }
    }
    bool serial = is_serial(word);
    value_set(a, params, serial ? "serial" : "name", value_cstr(a, serial ? serial_of(a, word) : word));
    return params;
}

static void tell(struct rctl *r, const char *kind, const char *name)
{
    if (strcmp(kind, "serial") == 0) {
        fprintf(r->out, "certificate %s revoked\n", name);
        rctl_note(r,
                  "no master takes it any more, and connections that it opened are closed; other certificates of its "
                  "owner still count");
    } else if (strcmp(kind, "node") == 0) {
        fprintf(r->out, "certificates of node \"%s\" revoked\n", name);
        rctl_note(
            r,
            "the node can do nothing until it joins anew with a token (rctl token create --node-name %s); its pods "
            "go on running meanwhile",
            name);
    } else {
        fprintf(r->out, "certificates of user \"%s\" revoked\n", name);
        rctl_note(r,
                  "all that were issued to this name until now count no more, an administrator's too, nor do its "
                  "tokens; `rctl user add %s` makes a new one for a user, `reeve-master admin --dir DIR` on a master's "
                  "machine one for an administrator",
                  name);
    }
}

/* Revoking a name that nobody has is right for a node that was deleted, and wrong for one that was misspelt. */
static void warn_if_unknown(struct rctl *r, const char *name)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "kind", value_cstr(&r->arena, "Node"));
    value_set(&r->arena, params, "name", value_cstr(&r->arena, name));
    if (api_read(r->api, "get", params, &reply, &err) == ERR_NOT_FOUND) {
        rctl_note(
            r,
            "note: the cluster has no node \"%s\" at present; if the name is misspelt, the certificates of the node "
            "that you mean still count: rctl get nodes",
            name);
    }
}

static int run_revoke(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "revoke needs one name of a node or user, or one serial number");
    }
    struct value *params = target_of(r, r->args.words[0]);
    if (opt_flag(r, "force")) {
        value_set(&r->arena, params, "force", value_bool(&r->arena, true));
    }
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "cert.revoke", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *kind = cert_text(&r->arena, reply.result, "kind"), *name = cert_text(&r->arena, reply.result, "name");
    tell(r, kind, name);
    if (strcmp(kind, "node") == 0) {
        warn_if_unknown(r, name);
    } else if (strcmp(kind, "serial") != 0) {
        rctl_note(r,
                  "note: no list of users is kept, so nobody can check that there is a user \"%s\"; if the name is "
                  "misspelt, the certificates that you mean still count: `rctl auth whoami` with that configuration "
                  "shows its name",
                  name);
    }
    return EXIT_DONE;
}

static const struct option_row revoke_options[] = {
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "also your own certificate, which ends what you can do"},
};

const struct command cert_revoke = {
    .name = "revoke",
    .usage = "[node/|user/]NAME|SERIAL [--force]",
    .summary = "Certificates of a node or user, or one certificate, count no more from now on",
    .examples = "  # a client configuration was stolen\n"
                "  rctl cert revoke user/kate\n"
                "  # a node was broken into; deleting it (rctl delete node) revokes its certificates as well\n"
                "  rctl cert revoke node/n1\n"
                "  # one certificate; the numbers are in: rctl cert status -o yaml\n"
                "  rctl cert revoke 21019a3c5e8f00112233445566778899aa\n",
    .options = revoke_options,
    .options_count = ARRAY_SIZE(revoke_options),
    .run = run_revoke,
};

/* ---- cert revoked ---- */

static void print_revoked(struct rctl *r, struct mp list, uint32_t count)
{
    static const char *const head[] = {"KIND", "NAME", "ISSUED-BEFORE", "KEPT-UNTIL"};
    enum { COLUMNS = ARRAY_SIZE(head) };
    struct arena *a = &r->arena;
    const char **cells = arena_alloc(a, COLUMNS * ((size_t)count + 1) * sizeof(*cells));
    unsigned row = 1;
    memcpy(cells, head, sizeof(head));
    for (struct mp_iter it = mp_iter(list); mp_next(&it); row++) {
        const char *kind = cert_text(a, it.value, "kind");
        cells[COLUMNS * row] = strcmp(kind, "admin") == 0 ? "user" : kind;
        cells[COLUMNS * row + 1] = cert_text(a, it.value, "name");
        cells[COLUMNS * row + 2] = strcmp(kind, "serial") == 0 ? "-" : cert_text(a, it.value, "since");
        cells[COLUMNS * row + 3] = cert_text(a, it.value, "until");
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, COLUMNS, row);
    rctl_write(r, &out);
}

static int run_revoked(struct rctl *r)
{
    struct error err = {0};
    int code;
    CLEANUP_REPLY struct api_reply reply = {0};
    if (!common_form_valid(r, &code)) {
        return code;
    }
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "cert.revoked", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct mp list = mp_get(reply.result, "revoked");
    const char *floor = cert_text(&r->arena, reply.result, "nodesWithoutObjectBefore");
    if (opt(r, "output") != NULL) {
        struct value *doc;
        if (msgpack_read_value(&r->arena, reply.result.p, (size_t)(reply.result.end - reply.result.p), &doc, &err) !=
            0) {
            return rctl_fail(r, &err);
        }
        common_print_form(r, doc);
    } else if (mp_count(list) > 0) {
        print_revoked(r, list, mp_count(list));
    } else {
        rctl_note(r, "No certificates are revoked.");
    }
    if (floor[0] != '\0') {
        rctl_note(r,
                  "note: so many nodes were deleted that certificates of nodes issued before %s count only while the "
                  "cluster has such a node",
                  floor);
    }
    return EXIT_DONE;
}

static const struct option_row revoked_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

const struct command cert_revoked = {
    .name = "revoked",
    .usage = "[-o json|yaml]",
    .summary = "Who is revoked: deleted nodes, and what `rctl cert revoke` was told",
    .examples = "  rctl cert revoked\n",
    .options = revoked_options,
    .options_count = ARRAY_SIZE(revoked_options),
    .run = run_revoked,
    .wordless = true,
};
