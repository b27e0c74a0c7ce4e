/* Rules for probes and lifecycle hooks. */
#include "proto/kinds/kinds.h"

static void check_port(const struct value *port, const struct fpath *p, struct errlist *l)
{
    if (port == NULL) {
        return;
    }
    if (value_is_str(port)) {
        if (!name_is_port(port->str)) {
            bad_value(l, port, p, NAME_PORT_WHY);
        }
    } else {
        check_range(l, port, p, 1, 65535);
    }
}

static bool is_header_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return s.n > 0;
}

static void check_http(const struct value *action, const struct fpath *p, struct errlist *l)
{
    const struct value *headers = value_get(action, "httpHeaders");
    check_port(value_get(action, "port"), FPATH_AT(p, "port"), l);
    VALUE_FOR(i, headers)
    {
        const struct value *name = value_get(value_item(headers, i), "name");
        if (value_to_str(name).n > 0 && !is_header_name(value_to_str(name))) {
            bad_value(l, name, FPATH_AT(FPATH_ITEM(FPATH_AT(p, "httpHeaders"), i), "name"),
                      "must be letters, digits and '-'");
        }
    }
}

static void check_handler(const struct value *h, const char *names, const struct fpath *p, struct errlist *l)
{
    static const char *const types[] = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"};
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        const struct value *v = in_choices(str_of(types[i]), names) ? value_get(h, types[i]) : NULL;
        if (v != NULL && count++ > 0) {
            bad_forbidden(l, v, FPATH_AT(p, types[i]), "may not specify more than 1 handler type");
        }
    }
    if (count == 0) {
        bad_missing(l, h, p, "must specify a handler type");
    }
    const struct value *exec = value_get(h, "exec"), *http = value_get(h, "httpGet"), *tcp = value_get(h, "tcpSocket"),
                       *grpc = value_get(h, "grpc");
    if (exec != NULL && value_count(value_get(exec, "command")) == 0) {
        bad_required(l, exec, FPATH_AT(FPATH_AT(p, "exec"), "command"));
    }
    check_http(http, FPATH_AT(p, "httpGet"), l);
    check_port(value_get(tcp, "port"), FPATH_AT(FPATH_AT(p, "tcpSocket"), "port"), l);
    check_port(value_get(grpc, "port"), FPATH_AT(FPATH_AT(p, "grpc"), "port"), l);
}

static void check_probe(const struct value *probe, bool readiness, const struct fpath *p, struct errlist *l)
{
    static const char *const numbers[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
                                          "failureThreshold"};
    if (probe == NULL) {
        return;
    }
    check_handler(probe, "exec|httpGet|tcpSocket|grpc", p, l);
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        check_at_least(l, value_get(probe, numbers[i]), FPATH_AT(p, numbers[i]), i == 0 ? 0 : 1);
    }
    const struct value *success = value_get(probe, "successThreshold");
    if (!readiness && value_to_int(success, 1) > 1) {
        bad_value(l, success, FPATH_AT(p, "successThreshold"), "must be 1");
    }
    const struct value *grace = value_get(probe, "terminationGracePeriodSeconds");
    if (grace != NULL && readiness) {
        bad_value(l, grace, FPATH_AT(p, "terminationGracePeriodSeconds"), "must not be set for readinessProbes");
    } else {
        check_at_least(l, grace, FPATH_AT(p, "terminationGracePeriodSeconds"), 1);
    }
}

static void check_hook(const struct value *hook, const struct value *pod, const struct fpath *p, struct errlist *l)
{
    if (hook == NULL) {
        return;
    }
    check_handler(hook, "exec|httpGet|tcpSocket|sleep", p, l);
    const struct value *sleep = value_get(hook, "sleep"), *seconds = value_get(sleep, "seconds");
    int64_t grace = value_to_int(value_get(pod, "terminationGracePeriodSeconds"), 30);
    if (sleep != NULL && (value_to_int(seconds, 0) <= 0 || value_to_int(seconds, 0) > grace)) {
        bad_value(l, seconds, FPATH_AT(FPATH_AT(p, "sleep"), "seconds"),
                  arena_printf(l->arena, "must be greater than 0 and less than terminationGracePeriodSeconds (%lld)",
                               (long long)grace));
    }
}

#define LINUX_SIGNALS                                                                                                  \
    "SIGABRT|SIGALRM|SIGBUS|SIGCHLD|SIGCLD|SIGCONT|SIGFPE|SIGHUP|SIGILL|SIGINT|SIGIO|SIGIOT|SIGKILL|SIGPIPE|SIGPOLL|"  \
    "SIGPROF|SIGPWR|SIGQUIT|SIGSEGV|SIGSTKFLT|SIGSTOP|SIGSYS|SIGTERM|SIGTRAP|SIGTSTP|SIGTTIN|SIGTTOU|SIGURG|SIGUSR1|"  \
    "SIGUSR2|SIGVTALRM|SIGWINCH|SIGXCPU|SIGXFSZ|SIGRTMIN|SIGRTMAX"

/* SIGRTMIN+1 to +15, SIGRTMAX-1 to -14. */
static bool is_real_time_signal(struct str s)
{
    bool up = str_starts(s, STR("SIGRTMIN+"));
    if ((!up && !str_starts(s, STR("SIGRTMAX-"))) || s.n < 10 || s.n > 11 || s.p[9] < '1' || s.p[9] > '9' ||
        (s.n == 11 && (s.p[10] < '0' || s.p[10] > '9'))) {
        return false;
    }
    int n = s.p[9] - '0';
    n = s.n == 11 ? n * 10 + (s.p[10] - '0') : n;
    return n <= (up ? 15 : 14);
}

static void check_stop_signal(const struct value *v, const struct value *pod, const struct fpath *p, struct errlist *l)
{
    struct str os = value_to_str(value_at(pod, "os", "name", NULL)), s = value_to_str(v);
    if (s.n == 0) {
        return;
    }
    if (os.n == 0) {
        bad_forbidden(l, v, p, "may not be set when `spec.os.name` is empty: which signals there are depends on it");
    } else if (str_is(os, "windows") && !in_choices(s, "SIGTERM|SIGKILL")) {
        bad_choice(l, v, p, "SIGTERM|SIGKILL");
    } else if (!in_choices(s, LINUX_SIGNALS) && !is_real_time_signal(s)) {
        bad_choice(l, v, p, LINUX_SIGNALS);
    }
}

void container_probes_check(const struct value *container, const struct value *pod, const struct fpath *p,
                            struct errlist *l)
{
    const struct value *lifecycle = value_get(container, "lifecycle");
    const struct fpath *at = FPATH_AT(p, "lifecycle");
    check_probe(value_get(container, "livenessProbe"), false, FPATH_AT(p, "livenessProbe"), l);
    check_probe(value_get(container, "readinessProbe"), true, FPATH_AT(p, "readinessProbe"), l);
    check_probe(value_get(container, "startupProbe"), false, FPATH_AT(p, "startupProbe"), l);
    check_hook(value_get(lifecycle, "postStart"), pod, FPATH_AT(at, "postStart"), l);
    check_hook(value_get(lifecycle, "preStop"), pod, FPATH_AT(at, "preStop"), l);
    check_stop_signal(value_get(lifecycle, "stopSignal"), pod, FPATH_AT(at, "stopSignal"), l);
}
