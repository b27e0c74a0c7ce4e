/* rctl certificate: decides on requests for certificates (CertificateSigningRequest). */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "proto/facts/signing.h"

#define TRIES 5u /* while others write the same request */

static const struct option_row decide_options[] = {
    OPTION_ROW_SELECTOR,
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "write the decision again though it stands"},
    OPTION_ROWS_FILES,
    OPTION_ROW_OUTPUT,
};

/* What is there with one more condition, or with another text of the same one, as a patch of this very version. */
static struct value *decision(struct rctl *r, const struct object *o, const char *type, const char *reason,
                              const char *message)
{
    struct arena *a = &r->arena;
    struct value *doc = object_to_value(a, o), *patch = value_map(a), *was = value_path(doc, "status.conditions");
    struct value *conditions = value_list(a), *c = value_map(a);
    VALUE_FOR(i, was)
    {
        if (!str_is(value_path_str(value_item(was, i), "type"), type)) {
            value_append(a, conditions, value_item(was, i));
        }
    }
    value_set(a, c, "type", value_cstr(a, type));
    value_set(a, c, "status", value_cstr(a, "True"));
    value_set(a, c, "reason", value_cstr(a, reason));
    value_set(a, c, "message", value_cstr(a, message));
    value_append(a, conditions, c);
    value_set(a, value_ensure_map(a, patch, "metadata"), "resourceVersion",
              value_strf(a, "%llu", (unsigned long long)o->revision));
    value_set(a, value_ensure_map(a, patch, "status"), "conditions", conditions);
    return patch;
}

static int decide_one(struct rctl *r, const struct object *o, const char *type, const char *reason, const char *done)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *now = object_ref(o), *after = NULL;
    const char *name = common_cstr(r, o->name),
               *message = arena_printf(&r->arena, "This CSR was %s by rctl certificate.", done);
    bool there = signing_has(now, type) && !opt_flag(r, "force");
    int rc = ERR_CONFLICT;
    for (unsigned i = 0; i < TRIES && rc == ERR_CONFLICT && !there; i++) {
        rc = common_patch(r, o->kind, "", name, "merge", decision(r, now, type, reason, message), "approval",
                          DRY_RUN_NONE, &after, NULL, &err);
        if (rc == ERR_CONFLICT) {
            object_unref(TAKE_PTR(now));
            if (api_get(r->api, o->kind, "", name, false, &now, &err) != 0) {
                return rctl_fail(r, &err);
            }
            if (!str_eq(now->uid, o->uid)) { /* nobody has looked at that one */
                error_set(&err, ERR_CONFLICT,
                          "%s is another request now than the one that was to be %s: look at it first",
                          resource_title(&r->arena, o->kind, o->name), done);
                return rctl_fail(r, &err);
            }
            there = signing_has(now, type) && !opt_flag(r, "force");
        }
    }
    return !there && rc != 0 ? rctl_fail(r, &err) : common_print_object(r, there ? now : after, done, DRY_RUN_NONE);
}

static int decide(struct rctl *r, const char *type, const char *reason, const char *done)
{
    struct error err = {0};
    int code = EXIT_DONE;
    CLEANUP_LIST struct api_list list = {0};
    const struct kind *k = kind_by_id(KIND_CERTIFICATESIGNINGREQUEST);
    if (r->args.words_count == 0 && !common_files_given(r) && opt(r, "selector") == NULL) {
        return rctl_usage(r, "one or more requests must be specified: a NAME, or -f FILE; rctl get csr shows them");
    }
    if (!common_files_given(r)) { /* words are names of requests: the type goes in front of them */
        const char **words = arena_alloc(&r->arena, (r->args.words_count + 1) * sizeof *words);
        words[0] = k->plural;
        for (unsigned i = 0; i < r->args.words_count; i++) {
            words[i + 1] = r->args.words[i];
        }
        r->args.words = words;
        r->args.words_count++;
    }
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        int one = EXIT_DONE;
        if (list.items[i]->kind != k) {
            error_set(&err, ERR_INVALID, "%s is no request for a certificate",
                      resource_title(&r->arena, list.items[i]->kind, list.items[i]->name));
            one = rctl_fail_here(r, &err);
        } else {
            one = decide_one(r, list.items[i], type, reason, done);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_approve(struct rctl *r)
{
    return decide(r, SIGNING_APPROVED, "RctlApprove", "approved");
}

static int run_deny(struct rctl *r)
{
    return decide(r, SIGNING_DENIED, "RctlDeny", "denied");
}

static const struct command approve = {
    .name = "approve",
    .usage = "NAME... | -f FILE",
    .summary = "Approve requests for certificates: their signer makes them",
    .examples = "  rctl create -f csr.yaml\n"
                "  rctl certificate approve kate\n"
                "  rctl get csr kate -o jsonpath={.status.certificate} | base64 -d >kate.crt\n",
    .options = decide_options,
    .options_count = ARRAY_SIZE(decide_options),
    .run = run_approve,
};

static const struct command deny = {
    .name = "deny",
    .usage = "NAME... | -f FILE",
    .summary = "Deny requests for certificates",
    .examples = "  rctl certificate deny kate\n",
    .options = decide_options,
    .options_count = ARRAY_SIZE(decide_options),
    .run = run_deny,
};

static const struct command *const certificate_subs[] = {&approve, &deny, NULL};
const struct command command_certificate = {
    .name = "certificate",
    .usage = "approve|deny NAME... | -f FILE",
    .summary = "Decide on requests for certificates (CertificateSigningRequest)",
    .examples = "  rctl get csr\n  rctl describe csr kate\n  rctl certificate approve kate\n",
    .subs = certificate_subs,
};
