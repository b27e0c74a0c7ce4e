/* rctl api-resources, explain, version, completion: about the language and the program itself. */
#include <string.h>

#include "client/common.h"
#include "proto/api.h"
#include "proto/text.h"

/* ---- api-resources ---- */

static const struct option_row resources_options[] = {
    {"namespaced", 0, OPTION_MAYBE, NULL, "true", "BOOL", "only those that live in namespaces (false: the others)"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "name"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
};

static int run_api_resources(struct rctl *r)
{
    const char *only = opt(r, "namespaced"), *form = opt(r, "output");
    const char **cells = arena_alloc(&r->arena, 5 * ((size_t)kinds_count() + 1) * sizeof(*cells));
    static const char *const head[] = {"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"};
    unsigned rows = 0;
    if (!opt_flag(r, "no-headers")) {
        memcpy(cells, head, sizeof(head));
        rows = 1;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if (only != NULL && (strcmp(only, "true") == 0) != k->namespaced) {
            continue;
        }
        if (form != NULL && strcmp(form, "name") == 0) {
            buf_printf(&out, "%s\n", k->plural);
            continue;
        }
        const char *row[] = {k->plural, k->short_names, k->api_version, k->namespaced ? "true" : "false", k->name};
        memcpy(cells + 5 * (size_t)rows++, row, sizeof(row));
    }
    if (form == NULL) {
        print_grid(&out, cells, 5, rows);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_api_resources = {
    .name = "api-resources",
    .usage = "[--namespaced=BOOL] [-o name]",
    .summary = "List the types of objects",
    .examples = "  rctl api-resources\n"
                "  rctl api-resources --namespaced=false\n"
                "  rctl api-resources -o name\n",
    .options = resources_options,
    .options_count = ARRAY_SIZE(resources_options),
    .run = run_api_resources,
};

/* ---- explain ---- */

static const struct option_row explain_options[] = {
    {"recursive", 0, OPTION_FLAG, NULL, NULL, NULL, "all fields below, without their texts"},
};

static int run_explain(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "which type or field? For example: rctl explain pods.spec.containers");
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (kind_explain(&out, str_of(r->args.words[0]), opt_flag(r, "recursive"), &err) != 0) {
        return rctl_fail(r, &err);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_explain = {
    .name = "explain",
    .usage = "TYPE[.FIELD...] [--recursive]",
    .summary = "What a type of object, or a field of it, means",
    .examples = "  rctl explain pods\n"
                "  rctl explain deploy.spec.strategy.rollingUpdate\n"
                "  rctl explain pods.spec.containers --recursive\n",
    .options = explain_options,
    .options_count = ARRAY_SIZE(explain_options),
    .run = run_explain,
};

/* ---- version ---- */

static const struct option_row version_options[] = {
    {"client", 0, OPTION_FLAG, NULL, NULL, NULL, "only this program's; no connection"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json"},
};

static int run_version(struct rctl *r)
{
    struct error err = {0};
    const char *form = opt(r, "output");
    bool json = form != NULL && strcmp(form, "json") == 0;
    if (form != NULL && !json) {
        return rctl_usage(r, "--output is json, not \"%s\"", form);
    }
    if (opt_flag(r, "client")) {
        fprintf(r->out, json ? "{\"clientVersion\": \"%s\"}\n" : "Client Version: %s\n", REEVE_VERSION);
        return EXIT_DONE;
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "version", value_cstr(&r->arena, REEVE_VERSION));
    if (!json) {
        fprintf(r->out, "Client Version: %s\n", REEVE_VERSION);
    }
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "hello", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct str v = mp_str(mp_get(reply.result, "version"));
    if (json) {
        fprintf(r->out, "{\"clientVersion\": \"%s\", \"serverVersion\": \"%.*s\"}\n", REEVE_VERSION, STR_ARG(v));
    } else {
        fprintf(r->out, "Server Version: %.*s\n", STR_ARG(v));
    }
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .usage = "[--client]",
    .summary = "Versions of this program and of the cluster",
    .examples = "  rctl version\n"
                "  rctl version --client\n"
                "  rctl version -o json\n",
    .options = version_options,
    .options_count = ARRAY_SIZE(version_options),
    .run = run_version,
};

/* ---- completion ---- */

static void completion_words(struct buf *out)
{
    buf_puts(out, "_rctl_subs() {\n    case $1 in\n");
    for (unsigned i = 0; rctl_commands_at(i) != NULL; i++) {
        const struct command *c = rctl_commands_at(i);
        if (c->subs == NULL) {
            continue;
        }
        buf_printf(out, "    %s) echo \"", c->name);
        for (unsigned k = 0; c->subs[k] != NULL; k++) {
            buf_printf(out, "%s%s", k > 0 ? " " : "", c->subs[k]->name);
        }
        buf_puts(out, "\" ;;\n");
    }
    buf_puts(out, "    esac\n}\n_rctl_options() {\n    case $1 in\n");
    for (unsigned i = 0; rctl_commands_at(i) != NULL; i++) {
        const struct command *c = rctl_commands_at(i);
        buf_printf(out, "    %s) echo \"--namespace --context --config --request-timeout --help", c->name);
        for (unsigned k = 0; k < c->options_count; k++) {
            buf_printf(out, " --%s", c->options[k].name);
        }
        buf_puts(out, "\" ;;\n");
    }
    buf_puts(out, "    esac\n}\n");
}

static int run_completion(struct rctl *r)
{
    if (r->args.words_count != 1 || strcmp(r->args.words[0], "bash") != 0) {
        return rctl_usage(r, "only bash is known");
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_puts(&out, "# bash completion of rctl: source <(rctl completion bash)\n");
    completion_words(&out);
    buf_puts(&out, "_rctl() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
                   "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
                   "        words=\"");
    for (unsigned i = 0; rctl_commands_at(i) != NULL; i++) {
        buf_printf(&out, "%s%s", i > 0 ? " " : "", rctl_commands_at(i)->name);
    }
    buf_puts(&out, "\"\n    elif [[ $cur == -* ]]; then\n"
                   "        words=$(_rctl_options \"$command\")\n"
                   "    elif [[ $COMP_CWORD -eq 2 ]]; then\n"
                   "        case $command in\n"
                   "        logs|exec|port-forward) words=$(rctl get pods -o name 2>/dev/null | sed s,.*/,,) ;;\n"
                   "        cordon|uncordon|drain) words=$(rctl get nodes -o name 2>/dev/null | sed s,.*/,,) ;;\n"
                   "        *) words=$(_rctl_subs \"$command\")\n"
                   "           [[ -n $words ]] || words=\"$(rctl api-resources -o name)\" ;;\n"
                   "        esac\n"
                   "    elif [[ $COMP_CWORD -eq 3 ]]; then\n"
                   "        words=$(rctl get \"${COMP_WORDS[2]}\" -o name 2>/dev/null | sed s,.*/,,)\n"
                   "    fi\n"
                   "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                   "}\n"
                   "complete -o default -F _rctl rctl\n");
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_completion = {
    .name = "completion",
    .usage = "bash",
    .summary = "Print the completion script of a shell",
    .examples = "  source <(rctl completion bash)\n"
                "  # for all later shells\n"
                "  rctl completion bash > /etc/bash_completion.d/rctl\n",
    .run = run_completion,
};
