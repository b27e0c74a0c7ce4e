/* rctl exec: a command in a container, with a real terminal if asked. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/session.h"

static const struct option_row exec_options[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "the container; otherwise the first"},
    {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, "hand over standard input"},
    {"tty", 't', OPTION_FLAG, NULL, NULL, NULL, "give the command a terminal"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only what the command prints"},
};

static int exec_in(struct rctl *r, const struct object *pod, bool in, bool tty)
{
    struct error err = {0};
    struct value *p = session_params(r, pod, opt(r, "container"), in, tty);
    struct value *command = value_ensure_list(&r->arena, p, "command");
    for (unsigned i = 1; i < r->args.words_count; i++) {
        value_append(&r->arena, command, value_cstr(&r->arena, r->args.words[i]));
    }
    struct session_end end;
    int rc = session_run(r, "exec", p, in, tty, &end, &err);
    if (end.exit_code < 0) {
        if (rc == 0) {
            error_set(&err, ERR_CLOSED, "the connection ended before the command did; it may still run");
        } else if (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT || err.code == ERR_EXPIRED) {
            error_wrap(&err, "the connection to the container was cut before the command ended and cannot go on (the "
                             "node ends a command that nobody listens to; look before you repeat it)");
        }
        return rctl_fail(r, &err);
    }
    if (end.exit_code != 0 && !end.by_signal && !opt_flag(r, "quiet")) {
        rctl_note(r, "command terminated with exit code %d", end.exit_code);
    }
    return end.exit_code;
}

/* Which one the node takes if none is named, and which there are. */
static void tell_container(struct rctl *r, const struct object *pod)
{
    CLEANUP_BUF struct buf names = BUF_INIT;
    struct mp containers = mp_path(object_mp(pod), "spec.containers");
    struct str chosen = object_annotation(pod, "kubectl.kubernetes.io/default-container");
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name"));
        chosen = chosen.n == 0 ? name : chosen;
        buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", STR_ARG(name));
    }
    if (mp_count(containers) > 1) {
        rctl_note(r, "Defaulted container \"%.*s\" out of: %s", STR_ARG(chosen), buf_cstr(&names));
    }
}

static int run_exec(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count < 1) {
        return rctl_usage(r, "which pod?");
    }
    if (r->args.words_count < 2) {
        return rctl_usage(r, "which command? For example: rctl exec -ti %s -- sh", r->args.words[0]);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_OBJECT struct object *pod = NULL;
    if (resource_get_pod(r, r->args.words[0], &pod, NULL, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    bool in = opt_flag(r, "stdin"), tty = session_wants_tty(r);
    if (opt(r, "container") == NULL && !opt_flag(r, "quiet")) {
        tell_container(r, pod);
    }
    return exec_in(r, pod, in, tty);
}

const struct command command_exec = {
    .name = "exec",
    .usage = "POD | TYPE/NAME [-c CONTAINER] [-ti] -- COMMAND [ARG...]",
    .summary = "Run a command in a container",
    .examples = "  rctl exec hello -c nginx -- cat /etc/nginx/conf.d/default.conf\n"
                "  # a shell\n"
                "  rctl exec -ti hello -c hello -- sh\n"
                "  # through a pipe; the exit code is the command's\n"
                "  tar c site | rctl exec -i hello -c nginx -- tar x -C /usr/share/nginx/html\n",
    .options = exec_options,
    .options_count = ARRAY_SIZE(exec_options),
    .run = run_exec,
};
