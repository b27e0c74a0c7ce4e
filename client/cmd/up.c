/* rctl up: a cluster on this machine. Here is what may be asked for; upping.c does it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/upping.h"

#define PORT_DEFAULT 7400

static const struct option_row up_options[] = {
    {"masters", 0, OPTION_VALUE, NULL, NULL, "N", "how many masters (1, 3, 5 or 7; default 3, or as before)"},
    {"agents", 0, OPTION_VALUE, NULL, NULL, "N", "how many nodes (default 2, or as before)"},
    {"dir", 0, OPTION_VALUE, "./.reeve", NULL, "DIR", "where everything is kept"},
    {"port", 0, OPTION_VALUE, NULL, NULL, "PORT", "first port to try for new masters (7400)"},
    {"images", 0, OPTION_VALUE, NULL, NULL, "DIR", "image archives and layouts that every node loads at start"},
    {"heartbeat", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how often nodes report (10s)"},
    {"node-grace", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how long a node may be silent until it is NotReady (40s)"},
    {"set", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE",
     "of a new cluster's configuration, such as podSubnet=10.128.0.0/9 (\"rctl cluster show\" has all keys)"},
    {"master-arg", 0, OPTION_REPEAT, NULL, NULL, "ARG", "one more word for reeve-master init, join and run"},
    {"agent-arg", 0, OPTION_REPEAT, NULL, NULL, "ARG", "one more word for \"reeve-agent run\""},
    {"timeout", 0, OPTION_VALUE, "5m", NULL, "DURATION", "how long to wait until all is ready"},
};

static int parse_counts(struct upping *p)
{
    struct rctl *r = p->r;
    int64_t masters = MAX(p->u.masters, 0), agents = p->u.nodes, port = PORT_DEFAULT, timeout_ms;
    bool fresh = p->u.masters == 0;
    const char *m = opt(r, "masters"), *n = opt(r, "agents");
    masters = fresh ? 3 : masters;
    agents = fresh ? 2 : agents;
    int rc = m == NULL ? 0 : args_int("masters", m, 1, UP_MASTERS_NEW, &masters, &p->err);
    rc = rc != 0 || n == NULL ? rc : args_int("agents", n, 0, UP_NODES_MAX, &agents, &p->err);
    rc = rc != 0 || opt(r, "port") == NULL ? rc : args_int("port", opt(r, "port"), 1, 65000, &port, &p->err);
    rc = rc != 0 ? rc : args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, &p->err);
    if (rc != 0) {
        return rc;
    }
    if (m != NULL && masters % 2 == 0) {
        return error_set(
            &p->err, ERR_USAGE,
            "--masters is 1, 3, 5 or 7, not %lld: a majority must be up, so %lld masters can lose no more than "
            "%lld can",
            (long long)masters, (long long)masters, (long long)masters - 1);
    }
    if (masters < (int64_t)p->u.masters || agents < (int64_t)p->u.nodes) {
        bool which = masters < (int64_t)p->u.masters;
        return error_set(
            &p->err, ERR_USAGE,
            "--%s=%lld: the cluster in %s has %u, and up takes none away; %s, or begin anew with rctl down",
            which ? "masters" : "agents", (long long)(which ? masters : agents), p->u.dir,
            which ? p->u.masters : p->u.nodes,
            which ? "`rctl master remove` does" : "`rctl delete node` and `rctl drain` do");
    }
    if (opt(r, "port") != NULL && !fresh && masters == (int64_t)p->u.masters) {
        return error_set(&p->err, ERR_USAGE,
                         "--port is for new masters, and there are none to be made: those of %s have their ports "
                         "already (from %u on)",
                         p->u.dir, p->u.ports[0]);
    }
    p->want_masters = (unsigned)masters;
    p->want_nodes = (unsigned)agents;
    p->first_port = (uint16_t)port;
    p->deadline_ms = upping_now() + timeout_ms;
    if (p->want_nodes > 0 && geteuid() != 0) {
        return error_set(&p->err, ERR_FORBIDDEN,
                         "nodes need root (namespaces, cgroups); --agents 0 starts masters only");
    }
    return 0;
}

/* Times among a master's words; they come from options of their own. */
static bool is_time(const char *word)
{
    return strncmp(word, "--heartbeat=", 12) == 0 || strncmp(word, "--node-grace=", 13) == 0;
}

/* The words given are those the daemons have. */
static bool same_words(const struct rctl *r, const char *option, const char *const *have)
{
    unsigned n = args_count(&r->args, option), at = 0;
    for (unsigned i = 0; have[i] != NULL; i++) {
        if (is_time(have[i])) {
            continue;
        }
        if (at == n || strcmp(args_at(&r->args, option, at), have[i]) != 0) {
            return false;
        }
        at++;
    }
    return at == n;
}

/* More words for a daemon; none given: those of the first time stay. Daemons that are there keep theirs. */
static int take_words(struct upping *p, const char *option, unsigned daemons, const char **out)
{
    unsigned n = args_count(&p->r->args, option);
    if (n > UP_ARGS_MAX - 2) {
        return error_set(&p->err, ERR_USAGE, "at most %u times --%s", UP_ARGS_MAX - 2, option);
    }
    if (n > 0 && daemons > 0) {
        return same_words(p->r, option, out)
                   ? 0
                   : error_set(
                         &p->err, ERR_USAGE,
                         "--%s differs from what the cluster in %s was made with (see cluster.yaml there); it can "
                         "only be given when the cluster is made: rctl down first",
                         option, p->u.dir);
    }
    for (unsigned i = 0; i < n; i++) {
        out[i] = args_at(&p->r->args, option, i);
        out[i + 1] = NULL;
    }
    return 0;
}

/* --heartbeat and --node-grace are the masters', in seconds. They are fixed when a master's directory is made. */
static int take_times(struct upping *p)
{
    static const char *const options[] = {"heartbeat", "node-grace"};
    unsigned n = 0;
    while (p->u.master_args[n] != NULL) {
        n++;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        int64_t ms;
        const char *text = opt(p->r, options[i]);
        if (text == NULL) {
            continue;
        }
        int rc = args_duration_ms(options[i], text, &ms, &p->err);
        if (rc != 0) {
            return rc;
        }
        const char *word = upping_format(p, "--%s=%lld.%03lld", options[i], (long long)ms / 1000, (long long)ms % 1000);
        if (p->u.masters > 0) {
            bool same = false;
            for (unsigned k = 0; k < n; k++) {
                same |= strcmp(p->u.master_args[k], word) == 0;
            }
            if (!same) {
                return error_set(&p->err, ERR_USAGE,
                                 "--%s can only be given when the cluster is made, and the one in %s was made with "
                                 "another one: rctl down first",
                                 options[i], p->u.dir);
            }
            continue;
        }
        p->u.master_args[n++] = word;
        p->u.master_args[n] = NULL;
    }
    return 0;
}

static int prepare(struct upping *p)
{
    struct rctl *r = p->r;
    struct error none = {0};
    int rc = up_init(&p->u, opt(r, "dir"), &p->err);
    rc = rc != 0 ? rc : up_check_kind(&p->u, &p->err);
    if (rc == 0 && (rc = up_load(&p->u, &none)) == ERR_NOT_FOUND) {
        rc = 0;
    } else if (rc != 0) {
        p->err = none.code != 0 ? none : p->err;
        return rc;
    }
    rc = rc != 0 ? rc : parse_counts(p);
    rc = rc != 0 ? rc : take_words(p, "master-arg", p->u.masters, p->u.master_args);
    rc = rc != 0 ? rc : take_words(p, "agent-arg", p->u.nodes, p->u.agent_args);
    rc = rc != 0 ? rc : take_times(p);
    if (rc == 0 && args_count(&r->args, "set") > 0 && p->u.masters > 0) {
        rc = error_set(&p->err, ERR_USAGE,
                       "--set can only be given when the cluster is made, and there is one in %s; \"rctl cluster set\" "
                       "changes what can change",
                       p->u.dir);
    }
    if (rc == 0 && opt(r, "images") != NULL) {
        char *real = realpath(opt(r, "images"), NULL);
        if (real == NULL) {
            return error_set_errno(&p->err, errno, "--images %s", opt(r, "images"));
        }
        bool other = p->u.nodes > 0 && (p->u.images == NULL || strcmp(p->u.images, real) != 0);
        const char *was = p->u.images == NULL ? "none" : p->u.images;
        p->u.images = arena_strdup(&p->u.arena, real);
        free(real);
        if (other) {
            return error_set(
                &p->err, ERR_USAGE,
                "--images %s: the nodes of %s were made with %s, and keep it; `rctl image load` brings them "
                "further images",
                p->u.images, p->u.dir, was);
        }
    }
    rc = rc != 0 ? rc : up_find_program(&r->arena, "reeve-master", &p->master, &p->err);
    if (rc == 0 && p->want_nodes > 0) {
        rc = up_find_program(&r->arena, "reeve-agent", &p->agent, &p->err);
    }
    return rc != 0 ? rc : up_make_dirs(&p->u, &p->err);
}

/* REEVE_CONFIG goes before ./.reeve/config: what is typed next would go to another cluster. */
static bool elsewhere(const struct up *u)
{
    const char *named = getenv("REEVE_CONFIG");
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_FREE char *there = named == NULL || named[0] == '\0' ? NULL : realpath(named, NULL);
    CLEANUP_FREE char *ours = realpath(up_path(&a, u, "config"), NULL);
    return named != NULL && named[0] != '\0' && (there == NULL || ours == NULL || strcmp(there, ours) != 0);
}

static void print_closing(struct upping *p)
{
    const struct up *u = &p->u;
    bool other = elsewhere(u);
    CLEANUP_FREE char *local = realpath("./.reeve", NULL);
    upping_say(p, "%s: %u master%s with a leader, %u node%s Ready.",
               p->started > 0 ? "The cluster is up" : "The cluster was running already", u->masters,
               u->masters == 1 ? "" : "s", u->nodes, u->nodes == 1 ? "" : "s");
    if (other) {
        upping_say(
            p, "  note:  REEVE_CONFIG names another configuration at present, %s: rctl goes there until it is changed",
            getenv("REEVE_CONFIG"));
    }
    if (local != NULL && strcmp(local, u->dir) == 0 && !other) {
        upping_say(p,
                   "  look:  rctl get nodes        (finds ./.reeve/config; elsewhere: export REEVE_CONFIG=%s/config)",
                   u->dir);
        upping_say(p, "  stop:  rctl down");
    } else {
        upping_say(p, "  look:  export REEVE_CONFIG=%s/config; rctl get nodes", u->dir);
        upping_say(p, "  stop:  rctl down --dir %s", u->dir);
    }
}

static int run_up(struct rctl *r)
{
    struct upping p = {.r = r};
    int rc = prepare(&p);
    if (rc == 0) {
        upping_say(&p, "Bringing up %u master%s and %u node%s in %s", p.want_masters, p.want_masters == 1 ? "" : "s",
                   p.want_nodes, p.want_nodes == 1 ? "" : "s", p.u.dir);
        rc = p.want_nodes > 0 ? up_fabric_make(&p.u, &p.err) : 0;
    }
    rc = rc != 0 ? rc : upping_masters(&p);
    rc = rc != 0 ? rc : upping_nodes(&p);
    if (rc == 0) {
        print_closing(&p);
    }
    api_free(p.api);
    up_close(&p.u);
    if (rc != 0) {
        if (rc == ERR_USAGE) {
            return rctl_usage(r, "%s", p.err.message);
        }
        rctl_fail(r, &p.err);
        rctl_note(r, "\"rctl up\" goes on from here, \"rctl down\" removes what was started");
    }
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_up = {
    .name = "up",
    .usage = "[--masters N] [--agents N] [--dir DIR] [--images DIR]",
    .summary = "Start a cluster on this machine",
    .examples = "  # three masters and two nodes under ./.reeve; again: start what has died\n"
                "  rctl up\n"
                "  rctl up --masters 3 --agents 2 --images build/images\n"
                "  # a second one beside it\n"
                "  rctl up --dir /var/tmp/other --masters 1 --agents 1\n",
    .options = up_options,
    .options_count = ARRAY_SIZE(up_options),
    .run = run_up,
    .wordless = true,
};
