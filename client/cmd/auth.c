/* rctl auth: who I am for the cluster, and what I may do. There are no roles yet: administrators may do everything, and
 * the certificates of masters and nodes only what their daemons need. */
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/get_raw.h"
#include "proto/pki/pki.h"
#include "proto/rpc/api.h"

static const char *role_name(enum pki_role role)
{
    return role == PKI_ROLE_ADMIN    ? "admins"
           : role == PKI_ROLE_MASTER ? "masters"
           : role == PKI_ROLE_NODE   ? "nodes"
                                     : "none";
}

/* The identity of our certificate, once a master has let us in with it. */
static int ask_identity(struct rctl *r, struct pki_identity *who, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "version", value_cstr(&r->arena, REEVE_VERSION));
    int rc = rctl_connect(r, err);
    rc = rc != 0 ? rc : api_read(r->api, "hello", params, &reply, err);
    return rc != 0 ? rc : pki_cert_info(r->target.cert_pem, who, NULL, NULL, err);
}

/* ---- whoami ---- */

static const struct option_row whoami_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

static int run_whoami(struct rctl *r)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    struct pki_identity who;
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    if (ask_identity(r, &who, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt(r, "output") != NULL) {
        struct value *doc = value_map(a);
        value_set(a, doc, "apiVersion", value_cstr(a, "authentication.k8s.io/v1"));
        value_set(a, doc, "kind", value_cstr(a, "SelfSubjectReview"));
        struct value *user = value_ensure_map(a, value_ensure_map(a, doc, "status"), "userInfo");
        value_append(a, value_ensure_list(a, user, "groups"), value_cstr(a, role_name(who.role)));
        value_set(a, user, "username", value_cstr(a, who.name));
        common_print_form(r, doc);
        return EXIT_DONE;
    }
    const char *const cells[] = {"ATTRIBUTE", "VALUE",  "Username",
                                 who.name,    "Groups", arena_printf(a, "[%s]", role_name(who.role))};
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, 2, 3);
    rctl_write(r, &out);
    return EXIT_DONE;
}

static const struct command auth_whoami = {
    .name = "whoami",
    .usage = "[-o json|yaml]",
    .summary = "Who the cluster takes me for",
    .examples = "  rctl auth whoami\n",
    .options = whoami_options,
    .options_count = ARRAY_SIZE(whoami_options),
    .run = run_whoami,
};

/* ---- can-i ---- */

static const struct option_row can_i_options[] = {
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "in all namespaces"},
    {"list", 0, OPTION_FLAG, NULL, NULL, NULL, "list what may be done"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only the exit code"},
    {"subresource", 0, OPTION_VALUE, NULL, NULL, "NAME", "of a part: log, exec, scale, status"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
};

static int print_rights(struct rctl *r, bool admin)
{
    static const char *const cells[] = {
        "Resources", "Non-Resource URLs", "Resource Names", "Verbs", "*.*", "[]", "[]", "[*]", "", "[*]", "[]", "[*]"};
    CLEANUP_BUF struct buf out = BUF_INIT;
    bool bare = opt_flag(r, "no-headers");
    grid_print(&out, bare ? cells + 4 : cells, 4, (admin ? 3 : 1) - bare);
    rctl_write(r, &out);
    return EXIT_DONE;
}

/* A word of what kind of thing it is to be done to: a type, a path, or "*". NULL: it is there; otherwise why not. */
static const char *missing_target(struct rctl *r, const char *word)
{
    struct error err = {0};
    const struct kind *k;
    const char *slash = strchr(word, '/');
    const char *type = slash == NULL ? word : arena_strndup(&r->arena, word, (size_t)(slash - word));
    if (word[0] == '/' || strcmp(word, "*") == 0 || resource_kind(type, &k, &err) == 0) {
        return NULL;
    }
    return arena_strdup(&r->arena, err.message);
}

static bool is_verb(const char *word)
{
    for (unsigned i = 0; get_raw_verbs[i] != NULL; i++) {
        if (strcmp(word, get_raw_verbs[i]) == 0) {
            return true;
        }
    }
    return strcmp(word, "*") == 0;
}

static int run_can_i(struct rctl *r)
{
    struct error err = {0};
    struct pki_identity who;
    const char *const *words = r->args.words;
    bool list = opt_flag(r, "list");
    if (list ? r->args.words_count != 0 : r->args.words_count < 2 || r->args.words_count > 3) {
        return rctl_usage(r, "what? For example: rctl auth can-i delete pods; or --list");
    }
    if (ask_identity(r, &who, &err) != 0) {
        return rctl_fail(r, &err);
    }
    bool admin = who.role == PKI_ROLE_ADMIN;
    if (list) {
        return print_rights(r, admin);
    }
    const char *missing = missing_target(r, words[1]);
    bool quiet = opt_flag(r, "quiet"), may = admin && missing == NULL;
    if (!quiet && missing != NULL) {
        rctl_note(r, "Warning: %s", missing);
    }
    if (!quiet && words[1][0] != '/' && !is_verb(words[0])) {
        rctl_note(r, "Warning: verb \"%s\" is not known", words[0]);
    }
    if (!quiet) {
        fprintf(r->out, "%s\n", may ? "yes" : "no");
    }
    return may ? EXIT_DONE : EXIT_FAILED;
}

static const struct command auth_can_i = {
    .name = "can-i",
    .usage = "VERB TYPE[/NAME] | --list",
    .summary = "May I do this? Exit code 0: yes, 1: no",
    .examples = "  rctl auth can-i delete pods\n"
                "  rctl auth can-i create deployments.apps -n shop -q && echo go on\n"
                "  rctl auth can-i --list\n",
    .options = can_i_options,
    .options_count = ARRAY_SIZE(can_i_options),
    .run = run_can_i,
};

static const struct command *const auth_subs[] = {&auth_whoami, &auth_can_i, NULL};
const struct command command_auth = {
    .name = "auth",
    .usage = "whoami|can-i",
    .summary = "Who I am for the cluster, and what I may do",
    .examples = "  rctl auth whoami\n"
                "  rctl auth can-i delete pods\n",
    .subs = auth_subs,
};
