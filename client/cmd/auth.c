/* rctl auth: who I am for the cluster, what I may do, and which role says so. */
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/get_raw.h"
#include "proto/describe/parts.h"
#include "proto/facts/access.h"
#include "proto/rpc/api.h"

static const char *text_of(struct arena *a, struct mp m, const char *key)
{
    struct str s = mp_str(mp_get(m, key));
    return arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
}

/* ---- whoami ---- */

static const struct option_row whoami_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

static void print_review(struct rctl *r, struct mp who)
{
    struct arena *a = &r->arena;
    struct value *doc = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, "authentication.k8s.io/v1"));
    value_set(a, doc, "kind", value_cstr(a, "SelfSubjectReview"));
    struct value *user = value_ensure_map(a, value_ensure_map(a, doc, "status"), "userInfo");
    struct value *groups = value_ensure_list(a, user, "groups");
    for (struct mp_iter it = mp_iter(mp_get(who, "groups")); mp_next(&it);) {
        value_append(a, groups, value_str(a, mp_str(it.value)));
    }
    value_set(a, user, "username", value_cstr(a, text_of(a, who, "user")));
    common_print_form(r, doc);
}

static int run_whoami(struct rctl *r)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "whoami", value_map(a), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt(r, "output") != NULL) {
        print_review(r, reply.result);
        return EXIT_DONE;
    }
    CLEANUP_BUF struct buf out = BUF_INIT, groups = BUF_INIT;
    for (struct mp_iter it = mp_iter(mp_get(reply.result, "groups")); mp_next(&it);) {
        struct str g = mp_str(it.value);
        buf_printf(&groups, "%s%.*s", groups.size > 0 ? " " : "", STR_ARG(g));
    }
    const char *const cells[] = {"ATTRIBUTE", "VALUE",
                                 "Username",  text_of(a, reply.result, "user"),
                                 "Groups",    arena_printf(a, "[%s]", buf_cstr(&groups))};
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
    .wordless = true,
};

/* ---- What is asked ---- */

#define OPTION_ROWS_ASK                                                                                                \
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "in all namespaces"},                                       \
        {"subresource", 0, OPTION_VALUE, NULL, NULL, "NAME", "of a part: log, exec, scale, status"},                   \
        {"as", 0, OPTION_VALUE, NULL, NULL, "USER", "may this user? An account is system:serviceaccount:NS:NAME"},     \
    {                                                                                                                  \
        "as-group", 0, OPTION_REPEAT, NULL, NULL, "GROUP", "may somebody of this group?"                               \
    }

/* A word of what kind of thing it is to be done to: a type, a path, or "*". NULL: it is there; otherwise why not. */
static const char *missing_target(struct rctl *r, const char *type, const struct kind **k)
{
    struct error err = {0};
    *k = NULL;
    if (type[0] == '/' || strcmp(type, "*") == 0 || resource_kind(type, k, &err) == 0) {
        return NULL;
    }
    return arena_strdup(&r->arena, err.message);
}

static bool is_verb(const char *word)
{
    static const char *const more[] = {"*", "impersonate", "bind", "escalate", "use", "approve"};
    for (unsigned i = 0; get_raw_verbs[i] != NULL; i++) {
        if (strcmp(word, get_raw_verbs[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        if (strcmp(word, more[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What an account's token would prove beside its name. */
static void add_account_groups(struct arena *a, struct value *groups, const char *user)
{
    size_t n = strlen(ACCESS_ACCOUNT_PREFIX);
    const char *colon = strncmp(user, ACCESS_ACCOUNT_PREFIX, n) == 0 ? strchr(user + n, ':') : NULL;
    if (colon != NULL) {
        value_append(a, groups, value_cstr(a, "system:serviceaccounts"));
        value_append(a, groups,
                     value_strf(a, "system:serviceaccounts:%.*s", (int)(colon - user - (ptrdiff_t)n), user + n));
    }
}

static void set_subject(struct rctl *r, struct value *params)
{
    struct arena *a = &r->arena;
    const char *as = opt(r, "as");
    unsigned count = args_count(&r->args, "as-group");
    if (as == NULL && count == 0) {
        return;
    }
    struct value *groups = value_ensure_list(a, params, "groups");
    for (unsigned i = 0; i < count; i++) {
        value_append(a, groups, value_cstr(a, args_at(&r->args, "as-group", i)));
    }
    if (as != NULL) {
        value_set(a, params, "user", value_cstr(a, as));
        add_account_groups(a, groups, as);
    }
    value_append(a, groups, value_cstr(a, "system:authenticated"));
}

/* VERB TYPE[/NAME], VERB TYPE NAME, VERB /PATH. *missing: why there is no such type; NULL: there is. */
static struct value *ask_params(struct rctl *r, const char **missing)
{
    struct arena *a = &r->arena;
    const char *const *words = r->args.words;
    const char *slash = words[1][0] == '/' ? NULL : strchr(words[1], '/');
    const char *type = slash == NULL ? words[1] : arena_strndup(a, words[1], (size_t)(slash - words[1]));
    const char *name = slash != NULL ? slash + 1 : r->args.words_count > 2 ? words[2] : NULL;
    const struct kind *k;
    struct value *params = value_map(a);
    *missing = missing_target(r, type, &k);
    value_set(a, params, "verb", value_cstr(a, words[0]));
    if (type[0] == '/') {
        value_set(a, params, "path", value_cstr(a, type));
    } else {
        bool everywhere = (k != NULL && !k->namespaced) || opt_flag(r, "all-namespaces");
        value_set(a, params, "resource", value_cstr(a, k != NULL ? k->plural : type));
        value_set(a, params, "group",
                  k != NULL ? value_str(a, kind_group(k))
                            : value_cstr(a, k == NULL && strcmp(type, "*") == 0 ? "*" : ""));
        if (!everywhere) {
            value_set(a, params, "namespace", value_cstr(a, rctl_namespace(r)));
        }
        if (opt(r, "subresource") != NULL) {
            value_set(a, params, "subresource", value_cstr(a, opt(r, "subresource")));
        }
        if (name != NULL) {
            value_set(a, params, "name", value_cstr(a, name));
        }
    }
    set_subject(r, params);
    return params;
}

static void warn_of(struct rctl *r, const char *missing)
{
    const char *const *words = r->args.words;
    if (missing != NULL) {
        rctl_note(r, "Warning: %s", missing);
    }
    if (words[1][0] != '/' && !is_verb(words[0])) {
        rctl_note(r, "Warning: verb \"%s\" is not known", words[0]);
    }
}

/* ---- can-i ---- */

static const struct option_row can_i_options[] = {
    {"list", 0, OPTION_FLAG, NULL, NULL, NULL, "list what may be done"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only the exit code"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    OPTION_ROWS_ASK,
};

/* What somebody else may do is what one may as him, as with kubectl. */
static void list_as(struct rctl *r)
{
    struct arena *a = &r->arena;
    unsigned count = args_count(&r->args, "as-group");
    struct value *as = value_map(a);
    if (opt(r, "as") == NULL && count == 0) {
        return;
    }
    value_set(a, as, "user", value_cstr(a, opt(r, "as") == NULL ? "" : opt(r, "as")));
    for (unsigned i = 0; i < count; i++) {
        value_append(a, value_ensure_list(a, as, "groups"), value_cstr(a, args_at(&r->args, "as-group", i)));
    }
    api_set_as(r->api, as);
}

static int print_rights(struct rctl *r)
{
    struct error err = {0};
    struct arena *a = &r->arena;
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = value_map(a);
    if (!opt_flag(r, "all-namespaces")) {
        value_set(a, params, "namespace", value_cstr(a, rctl_namespace(r)));
    }
    if (api_read(r->api, "rules", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct mp rules = mp_get(reply.result, "rules");
    describe_role_rules(&out, &rules, 1, opt_flag(r, "no-headers") ? DESCRIBE_BARE : DESCRIBE_TITLES);
    rctl_write(r, &out);
    if (mp_bool(mp_get(reply.result, "incomplete"), false)) {
        rctl_note(r, "Warning: the list may be incomplete");
    }
    return EXIT_DONE;
}

static int run_can_i(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    bool list = opt_flag(r, "list"), quiet = opt_flag(r, "quiet");
    const char *missing;
    if (list ? r->args.words_count != 0 : r->args.words_count < 2 || r->args.words_count > 3) {
        return rctl_usage(r, "what? For example: rctl auth can-i delete pods; or --list");
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list) {
        list_as(r);
        return print_rights(r);
    }
    struct value *params = ask_params(r, &missing);
    if (api_read(r->api, "access", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    bool may = mp_bool(mp_get(reply.result, "allowed"), false) && missing == NULL;
    if (!quiet) {
        warn_of(r, missing);
        fprintf(r->out, "%s\n", may ? "yes" : "no");
    }
    return may ? EXIT_DONE : EXIT_FAILED;
}

static const struct command auth_can_i = {
    .name = "can-i",
    .usage = "VERB TYPE[/NAME] | VERB /PATH | --list",
    .summary = "May I do this? Exit code 0: yes, 1: no",
    .examples = "  rctl auth can-i delete pods\n"
                "  rctl auth can-i create deployments.apps -n shop -q && echo go on\n"
                "  # somebody else, if you may ask for him\n"
                "  rctl auth can-i get secrets --as kate --as-group dev\n"
                "  rctl auth can-i list pods --as system:serviceaccount:shop:robot -n shop\n"
                "  rctl auth can-i --list\n"
                "  # what kate may, if you may impersonate her\n"
                "  rctl auth can-i --list --as kate --as-group dev -n shop\n",
    .options = can_i_options,
    .options_count = ARRAY_SIZE(can_i_options),
    .run = run_can_i,
};

/* ---- why ---- */

static const struct option_row why_options[] = {OPTION_ROWS_ASK};

/* "RoleBinding shop/dev" */
static const char *object_text(struct arena *a, struct mp o)
{
    const char *ns = text_of(a, o, "namespace");
    return arena_printf(a, "%s %s%s%s", text_of(a, o, "kind"), ns, ns[0] == '\0' ? "" : "/", text_of(a, o, "name"));
}

static void print_rule(struct rctl *r, struct mp answer, struct buf *out)
{
    struct arena *a = &r->arena;
    const char *const cells[] = {"Binding:", object_text(a, mp_get(answer, "binding")),
                                 "Role:",    object_text(a, mp_get(answer, "role")),
                                 "Subject:", object_text(a, mp_get(answer, "subject"))};
    CLEANUP_BUF struct buf list = BUF_INIT, table = BUF_INIT;
    grid_print(out, cells, 2, 3);
    mp_write_array(&list, 1);
    struct mp rule = mp_get(answer, "rule");
    buf_append(&list, rule.p, (size_t)(rule.end - rule.p));
    struct mp rules = mp_of(list.data, list.size);
    buf_puts(out, "Rule:\n");
    describe_role_rules(&table, &rules, 1, DESCRIBE_DASHES);
    describe_indented(out, buf_cstr(&table));
}

static int run_why(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    CLEANUP_BUF struct buf out = BUF_INIT;
    const char *missing;
    if (r->args.words_count < 2 || r->args.words_count > 3) {
        return rctl_usage(r, "why what? For example: rctl auth why delete pods");
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct value *params = ask_params(r, &missing);
    if (api_read(r->api, "access", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    bool may = mp_bool(mp_get(reply.result, "allowed"), false);
    const char *user = text_of(&r->arena, reply.result, "user"), *reason = text_of(&r->arena, reply.result, "reason");
    warn_of(r, missing);
    if (!may) {
        buf_printf(&out, "no: no rule of any role that is bound to \"%s\" or its groups allows it\n", user);
    } else if (mp_type(mp_get(reply.result, "rule")) == MP_MAP) {
        buf_printf(&out, "yes: User \"%s\"\n", user);
        print_rule(r, reply.result, &out);
    } else {
        buf_printf(&out, "yes: User \"%s\": %s\n", user, reason);
    }
    rctl_write(r, &out);
    return may ? EXIT_DONE : EXIT_FAILED;
}

static const struct command auth_why = {
    .name = "why",
    .usage = "VERB TYPE[/NAME] | VERB /PATH",
    .summary = "Which binding, role and rule allow this; exit code 1: none does",
    .examples = "  rctl auth why delete pods -n shop\n"
                "  rctl auth why get secrets --as kate --as-group dev -n shop\n",
    .options = why_options,
    .options_count = ARRAY_SIZE(why_options),
    .run = run_why,
};

static const struct command *const auth_subs[] = {&auth_whoami, &auth_can_i, &auth_why, NULL};
const struct command command_auth = {
    .name = "auth",
    .usage = "whoami|can-i|why",
    .summary = "Who I am for the cluster, what I may do, and why",
    .examples = "  rctl auth whoami\n"
                "  rctl auth can-i delete pods\n"
                "  rctl auth why delete pods\n",
    .subs = auth_subs,
};
