/* rctl create token: one of a service account, for programs outside of the cluster. */
#include "client/cmd/create.h"

static const struct option_row token_options[] = {
    {"audience", 0, OPTION_REPEAT, NULL, NULL, "NAME", "who is to take it; the masters if not given"},
    {"duration", 0, OPTION_VALUE, NULL, NULL, "TIME", "how long it is good, at least 10m; an hour if not given"},
    {"bound-object-kind", 0, OPTION_VALUE, NULL, NULL, "KIND", "it ends with this object: Pod, Secret or Node"},
    {"bound-object-name", 0, OPTION_VALUE, NULL, NULL, "NAME", "the name of that object"},
    {"bound-object-uid", 0, OPTION_VALUE, NULL, NULL, "UID", "its uid, if no other of the name will do"},
};

static int read_options(struct rctl *r, struct value *params, struct error *err)
{
    static const char *const bound[][2] = {
        {"bound-object-kind", "boundKind"}, {"bound-object-name", "boundName"}, {"bound-object-uid", "boundUid"}};
    struct arena *a = &r->arena;
    int64_t life_ms = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bound); i++) {
        if (opt(r, bound[i][0]) != NULL) {
            value_set(a, params, bound[i][1], value_cstr(a, opt(r, bound[i][0])));
        }
    }
    for (unsigned i = 0; i < args_count(&r->args, "audience"); i++) {
        value_append(a, value_ensure_list(a, params, "audiences"), value_cstr(a, args_at(&r->args, "audience", i)));
    }
    if (opt(r, "duration") == NULL) {
        return 0;
    }
    int rv = args_duration_ms("duration", opt(r, "duration"), &life_ms, err);
    value_set(a, params, "expirationSeconds", value_int(a, life_ms / 1000));
    return rv;
}

static int run_token(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = value_map(&r->arena);
    bool kind = opt(r, "bound-object-kind") != NULL, name = opt(r, "bound-object-name") != NULL;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name of a service account is needed");
    }
    if (kind != name || (opt(r, "bound-object-uid") != NULL && !kind)) {
        return rctl_usage(r, "--bound-object-kind and --bound-object-name go together");
    }
    value_set(&r->arena, params, "name", value_cstr(&r->arena, r->args.words[0]));
    if (read_options(r, params, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    value_set(&r->arena, params, "namespace", value_cstr(&r->arena, rctl_namespace(r)));
    if (api_read(r->api, "account.token", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct str token = mp_str(mp_get(reply.result, "token"));
    fprintf(r->out, "%.*s\n", STR_ARG(token));
    return EXIT_DONE;
}

const struct command create_token = {
    .name = "token",
    .usage = "ACCOUNT [--duration TIME] [--audience NAME]... [--bound-object-kind KIND --bound-object-name NAME]",
    .summary = "A token of a service account, for kubectl and other clients over HTTPS",
    .examples = "  rctl create token robot -n shop\n"
                "  rctl create token robot --duration 24h --audience vault\n"
                "  # it ends with this Secret\n"
                "  rctl create token robot --bound-object-kind Secret --bound-object-name robot-lives\n",
    .options = token_options,
    .options_count = ARRAY_SIZE(token_options),
    .run = run_token,
};
