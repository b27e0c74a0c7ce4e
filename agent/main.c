/* reeve-agent: runs the pods of one node. `join` makes the node a member of a cluster, `run` serves it. */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/clean.h"
#include "agent/config.h"
#include "agent/image/gc.h"
#include "agent/pod/handler.h"
#include "agent/pod/userids.h"
#include "agent/util/fsutil.h"
#include "agent/util/userns.h"
#include "base/hash.h"
#include "base/process.h"
#include "proto/model/quantity.h"
#include "proto/net/loop.h"
#include "proto/pki/pki.h"
#include "proto/rpc/api.h"
#include "proto/schema/kind.h"

#define EXIT_USAGE 2
#define STOP_MS    3000 /* then the process ends whatever is still in flight; pods do not depend on it */
#define HOLLOW_MAX 20000
#define TOKEN_MAX  256

static const char usage_text[] =
    "reeve-agent runs the pods of one node of a Reeve cluster.\n"
    "\n"
    "  reeve-agent join --dir DIR --name NAME --token-file FILE | --token TOKEN MASTER[,MASTER...] [--hollow-nodes N]\n"
    "      Join a cluster: make a key, have it certified by a master, and write both to DIR.\n"
    "      The token comes from `rctl token create --role node` or from `reeve-master init`; FILE holds it and "
    "nothing\n"
    "      else (\"-\": standard input), so that it stands on no command line.\n"
    "\n"
    "  reeve-agent run --dir DIR [options]\n"
    "      Run the pods that are ordered for this node. Ending the agent does not end them.\n"
    "      --images DIR           load the OCI layouts and image archives in DIR first\n"
    "      --registries FILE      which registries images may come from, followed (default: DIR/registries.yaml)\n"
    "      --image-gc HIGH:LOW    when the disk is fuller than HIGH %, delete unused images until LOW (default: "
    "85:80;\n"
    "                             100:100: never)\n"
    "      --image-min-age TIME   younger images stay (default: 2m)\n"
    "      --image-max-age TIME   images that were not used for so long go anyway (default: 0, never)\n"
    "      --node-ip IP           address of this node (default: of the interface with the default route, which may "
    "change\n"
    "                             while the agent runs)\n"
    "      --run-dir DIR          sandboxes and runtime state, below /run (default: /run/reeve-agent)\n"
    "      --cluster-cidr CIDR    addresses of all pods (default: as the masters say)\n"
    "      --cgroup-parent NAME   control group that holds the pods' groups (default: reeve)\n"
    "      --seccomp-dir DIR      profiles for seccompProfile Localhost (default: DIR/seccomp)\n"
    "      --pod-pids N           processes that one pod may have (default: 1024; 0: no limit)\n"
    "      --pod-connections N    connections that one pod may have in the node's table (default: a 32nd; 0: no "
    "limit)\n"
    "      --user-ids FIRST:PODS  users on this node of pods with hostUsers false, 65536 each (default: "
    "1879048192:4096),\n"
    "                             or none\n"
    "      --system-memory SIZE   memory that pods are not given, as 512Mi (default: a twentieth, 256Mi to 2Gi)\n"
    "      --local-volumes DIR    where volumes of claims are made that the node has itself (default: "
    "DIR/local-volumes)\n"
    "      --local-storage SIZE   how much of it masters may promise, as 100Gi (default: nine tenths of its file "
    "system)\n"
    "      --eviction-hard LIST   what has to be left, or pods are evicted (default: memory.available<100Mi,\n"
    "                             nodefs.available<10%,pid.available<10%)\n"
    "      --pods-reach-masters   let pods connect to the masters' ports; otherwise they are refused unless the "
    "cluster\n"
    "                             gives all pods tokens (podTokens=Automatic)\n"
    "      --allowed-unsafe-sysctls LIST   kernel settings that pods may make beside the safe ones, as "
    "kernel.msg*,net.*\n"
    "      --runtime-handler NAME=PATH   an OCI runtime beside crun, for RuntimeClasses with the handler NAME: a "
    "program "
    "with\n"
    "                             the command line of runc. Up to 16 of them\n"
    "      --runtime crun|hollow  hollow: no processes, for scale tests (default: crun)\n"
    "      --hollow-nodes N       N hollow nodes in one process (join with the same number first)\n"
    "      --log-level LEVEL      debug, info, warn, error (default: info)\n"
    "\n"
    "  reeve-agent clean\n"
    "      Take away what a former agent left in the kernel: nftables tables, routes, the tunnel. For a node that is "
    "none "
    "any more.\n"
    "\n"
    "  reeve-agent --version\n";

struct options {
    char token_text[TOKEN_MAX];
    const char *dir, *name, *token, *token_file, *images, *registries, *node_ip, *run_dir, *cluster_cidr,
        *cgroup_parent, *runtime, *seccomp_dir, *sysctls, *masters, *local_volumes;
    int64_t local_bytes;
    long hollow_nodes;
    uint32_t user_ids_first;
    unsigned user_ids_pods;
    bool no_user_namespaces;
    int64_t pod_connections, pod_pids, reserved_bytes; /* as in agent.h */
    struct thresholds evict_at;
    bool pods_reach_masters;
    struct arena arena; /* of the handlers; as long as the process */
    struct runtime_handler handlers[RUNTIME_HANDLERS_MAX];
    unsigned handlers_count;
    struct image_gc_policy image_gc;
    int log_level;
};

static int fail_usage(const char *why, const char *what)
{
    fprintf(stderr, "reeve-agent: %s%s; see reeve-agent --help\n", why, what);
    return EXIT_USAGE;
}

static bool parse_user_ids(const char *text, struct options *o)
{
    CLEANUP_FREE char *copy = xstrdup(text);
    char *colon = strchr(copy, ':');
    int64_t first, pods;
    o->no_user_namespaces = strcmp(text, "none") == 0;
    if (o->no_user_namespaces || colon == NULL) {
        return o->no_user_namespaces;
    }
    *colon = '\0';
    if (!str_to_int64(str_of(copy), &first) || !str_to_int64(str_of(colon + 1), &pods) || first <= 0 ||
        first % USERNS_IDS != 0 || pods < 1 || pods > USERIDS_PODS_MAX ||
        first > INT32_MAX - pods * (int64_t)USERNS_IDS + 1) {
        return false;
    }
    o->user_ids_first = (uint32_t)first;
    o->user_ids_pods = (unsigned)pods;
    return true;
}

static bool parse_image_gc(const char *text, struct image_gc_policy *out)
{
    char rest;
    unsigned high, low;
    if (sscanf(text, "%3u:%3u%c", &high, &low, &rest) != 2 || high < 1 || high > 100 || low < 1 || low > high) {
        return false;
    }
    out->high_percent = high;
    out->low_percent = low;
    return true;
}

/* "90s", "2m", "12h", "30d", "0". */
static bool parse_age(const char *text, int64_t *out_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    int64_t n;
    size_t length = strlen(text);
    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return true;
    }
    for (size_t i = 0; length > 1 && i < ARRAY_SIZE(units); i++) {
        if (text[length - 1] == units[i].unit && str_to_int64((struct str){text, length - 1}, &n) && n >= 0 &&
            n <= 36500 * INT64_C(86400000) / units[i].ms) {
            *out_ms = n * units[i].ms;
            return true;
        }
    }
    return false;
}

static int add_handler(struct options *o, const char *text, struct error *err)
{
    if (o->handlers_count == RUNTIME_HANDLERS_MAX) {
        return error_set(err, ERR_USAGE, "at most %u of them", RUNTIME_HANDLERS_MAX);
    }
    struct runtime_handler *h = &o->handlers[o->handlers_count];
    int rv = handler_parse(&o->arena, text, h, err);
    for (unsigned i = 0; rv == 0 && i < o->handlers_count; i++) {
        if (strcmp(o->handlers[i].name, h->name) == 0) {
            rv = error_set(err, ERR_USAGE, "%s is given twice", h->name);
        }
    }
    o->handlers_count += rv == 0;
    return rv;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"dir", required_argument, NULL, 'd'},           {"name", required_argument, NULL, 'n'},
        {"token", required_argument, NULL, 't'},         {"images", required_argument, NULL, 'i'},
        {"registries", required_argument, NULL, 'G'},    {"image-gc", required_argument, NULL, 'I'},
        {"image-min-age", required_argument, NULL, 'y'}, {"image-max-age", required_argument, NULL, 'o'},
        {"node-ip", required_argument, NULL, 'a'},       {"run-dir", required_argument, NULL, 'r'},
        {"cluster-cidr", required_argument, NULL, 'c'},  {"cgroup-parent", required_argument, NULL, 'g'},
        {"runtime", required_argument, NULL, 'R'},       {"runtime-handler", required_argument, NULL, 'h'},
        {"seccomp-dir", required_argument, NULL, 's'},   {"allowed-unsafe-sysctls", required_argument, NULL, 'S'},
        {"pod-pids", required_argument, NULL, 'p'},      {"pod-connections", required_argument, NULL, 'C'},
        {"user-ids", required_argument, NULL, 'u'},      {"system-memory", required_argument, NULL, 'm'},
        {"local-volumes", required_argument, NULL, 'L'}, {"local-storage", required_argument, NULL, 'B'},
        {"eviction-hard", required_argument, NULL, 'E'}, {"pods-reach-masters", no_argument, NULL, 'M'},
        {"hollow-nodes", required_argument, NULL, 'H'},  {"log-level", required_argument, NULL, 'l'},
        {"token-file", required_argument, NULL, 'T'},    {NULL, 0, NULL, 0},
    };
    *o = (struct options){.log_level = LOG_LEVEL_INFO,
                          .runtime = "crun",
                          .run_dir = "/run/reeve-agent",
                          .reserved_bytes = -1,
                          .image_gc = IMAGE_GC_DEFAULT};
    thresholds_default(&o->evict_at);
    arena_init(&o->arena);
    for (int k; (k = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        const char **text = k == 'd'   ? &o->dir
                            : k == 'n' ? &o->name
                            : k == 't' ? &o->token
                            : k == 'T' ? &o->token_file
                            : k == 'i' ? &o->images
                            : k == 'G' ? &o->registries
                            : k == 'a' ? &o->node_ip
                            : k == 'r' ? &o->run_dir
                            : k == 'c' ? &o->cluster_cidr
                            : k == 'g' ? &o->cgroup_parent
                            : k == 'R' ? &o->runtime
                            : k == 's' ? &o->seccomp_dir
                            : k == 'L' ? &o->local_volumes
                            : k == 'S' ? &o->sysctls
                                       : NULL;
        bool path = k == 'd' || k == 'i' || k == 'r' || k == 'g' || k == 's' || k == 'G' || k == 'L';
        if (path && strlen(optarg) > FS_BASE_MAX) {
            return fail_usage("a path of more than 255 characters is too long: ", optarg);
        }
        if (text != NULL) {
            *text = optarg;
        } else if (k == 'H') {
            char *end;
            o->hollow_nodes = strtol(optarg, &end, 10);
            if (*end != '\0' || o->hollow_nodes < 1 || o->hollow_nodes > HOLLOW_MAX) {
                return fail_usage("--hollow-nodes: a number from 1 to 20000 is needed, not ", optarg);
            }
        } else if (k == 'p') {
            if (!str_to_int64(str_of(optarg), &o->pod_pids) || o->pod_pids < 0 || o->pod_pids > 4194304) {
                return fail_usage("--pod-pids: a number from 1 to 4194304, or 0 for no limit, not ", optarg);
            }
            o->pod_pids = o->pod_pids == 0 ? -1 : o->pod_pids;
        } else if (k == 'C') {
            if (!str_to_int64(str_of(optarg), &o->pod_connections) || o->pod_connections < 0 ||
                o->pod_connections > INT32_MAX) {
                return fail_usage("--pod-connections: a number, or 0 for no limit, not ", optarg);
            }
            o->pod_connections = o->pod_connections == 0 ? -1 : o->pod_connections;
        } else if (k == 'u') {
            if (!parse_user_ids(optarg, o)) {
                return fail_usage("--user-ids: FIRST:PODS is needed, FIRST a multiple of 65536, all below 2147483648; "
                                  "or none; not ",
                                  optarg);
            }
        } else if (k == 'm') {
            if (!quantity_units(str_of(optarg), &o->reserved_bytes) || o->reserved_bytes < 0) {
                return fail_usage("--system-memory: a size as 512Mi is needed, not ", optarg);
            }
        } else if (k == 'I') {
            if (!parse_image_gc(optarg, &o->image_gc)) {
                return fail_usage("--image-gc: HIGH:LOW is needed, percents from 1 to 100, LOW not above HIGH, not ",
                                  optarg);
            }
        } else if (k == 'y' || k == 'o') {
            if (!parse_age(optarg, k == 'y' ? &o->image_gc.min_age_ms : &o->image_gc.max_age_ms)) {
                return fail_usage("--image-min-age and --image-max-age: a time is needed, as 90s, 2m, 12h, 30d, not ",
                                  optarg);
            }
        } else if (k == 'B') {
            if (!quantity_units(str_of(optarg), &o->local_bytes) || o->local_bytes <= 0) {
                return fail_usage("--local-storage: a size as 100Gi is needed, not ", optarg);
            }
        } else if (k == 'E') {
            struct error err = {0};
            if (thresholds_parse(str_of(optarg), &o->evict_at, &err) != 0) {
                return fail_usage("--eviction-hard: ", err.message);
            }
        } else if (k == 'h') {
            struct error err = {0};
            if (add_handler(o, optarg, &err) != 0) {
                return fail_usage("--runtime-handler: ", err.message);
            }
        } else if (k == 'M') {
            o->pods_reach_masters = true;
        } else if (k == 'l') {
            o->log_level = log_level_parse(optarg);
            if (o->log_level < 0) {
                return fail_usage("--log-level: debug, info, warn, error or off, not ", optarg);
            }
        } else {
            return EXIT_USAGE; /* getopt has told */
        }
    }
    o->masters = optind < argc ? argv[optind] : NULL;
    if (o->dir == NULL) {
        return fail_usage("--dir is needed", "");
    }
    if (optind + 1 < argc) {
        return fail_usage("one word too many: ", argv[optind + 1]);
    }
    return 0;
}

/* ---- join ---- */

static int join_one(const struct config_join *j, const struct log *log)
{
    struct error err = {0};
    if (config_join(j, &err) != 0) {
        fprintf(stderr, "reeve-agent: %s\n", err.message);
        return 1;
    }
    (void)log;
    return 0;
}

/* The first word of the token's file. */
static int read_token(struct options *o)
{
    bool standard = strcmp(o->token_file, "-") == 0;
    FILE *f = standard ? stdin : fopen(o->token_file, "re");
    if (f == NULL) {
        fprintf(stderr, "reeve-agent: --token-file %s: %s\n", o->token_file, strerror(errno));
        return 1;
    }
    bool got = fgets(o->token_text, sizeof(o->token_text), f) != NULL;
    if (!standard) {
        fclose(f);
    }
    o->token_text[got ? strcspn(o->token_text, " \t\r\n") : 0] = '\0';
    o->token = o->token_text;
    if (o->token_text[0] == '\0') {
        fprintf(stderr, "reeve-agent: --token-file %s: there is no token in it\n", o->token_file);
        return 1;
    }
    return 0;
}

static int join(struct options *o, const struct log *log)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    arena_init(&a);
    if (o->name == NULL || (o->token == NULL) == (o->token_file == NULL) || o->masters == NULL) {
        return fail_usage("join needs --name, one of --token-file and --token, and the address of a master", "");
    }
    if (o->token_file != NULL && read_token(o) != 0) {
        return 1;
    }
    struct config_join j = {.dir = o->dir, .name = o->name, .token = o->token, .log = log};
    if (!name_is_dns_subdomain(str_of(o->name))) {
        return fail_usage("a node's name is made of lower case letters, digits, '-' and '.', not ", o->name);
    }
    if (config_parse_masters(&a, o->masters, &j.masters, &err) != 0) {
        return fail_usage(err.message, "");
    }
    for (long i = 0; i < o->hollow_nodes; i++) {
        j.dir = arena_printf(&a, "%s/%ld", o->dir, i);
        j.name = arena_printf(&a, "%s-%ld", o->name, i);
        int rv = join_one(&j, log);
        if (rv != 0) {
            return rv;
        }
    }
    int rv = o->hollow_nodes > 0 ? 0 : join_one(&j, log);
    if (rv == 0) {
        fprintf(stderr, "joined as %s; start it with: reeve-agent run --dir %s\n", o->name, o->dir);
    }
    return rv;
}

/* ---- run ---- */

struct daemon {
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    uv_timer_t patience;
    struct agent **agents;
    struct log *logs;        /* one per agent */
    struct log_rates *rates; /* of all of them */
    long count, left;
    bool stopping;
};

static void close_handle(uv_handle_t *h, void *data)
{
    (void)data;
    if (!uv_is_closing(h)) {
        uv_close(h, NULL);
    }
}

static void on_stopped(void *data)
{
    struct daemon *d = data;
    if (--d->left == 0) {
        uv_walk(&d->loop, close_handle, NULL);
    }
}

/* Something does not end (a probe, a plugin): the pods do not need us to wait for it. */
static void on_patience_over(uv_timer_t *t)
{
    (void)t;
    _exit(0);
}

static void on_signal(uv_signal_t *s, int number)
{
    struct daemon *d = s->data;
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    d->left = d->count;
    log_info(&d->logs[0], "main", "signal %d: the agent ends, its pods go on", number);
    uv_timer_start(&d->patience, on_patience_over, STOP_MS, 0);
    for (long i = 0; i < d->count; i++) {
        agent_stop(d->agents[i], on_stopped, d);
    }
}

static int start_one(struct daemon *d, const struct options *o, const char *dir, long index, struct error *err)
{
    struct config config;
    struct net_tls *tls = NULL;
    int rv = config_load(&config, dir, err);
    rv = rv != 0 ? rv : config_tls(&config, &tls, err);
    if (rv == 0) {
        struct log *log = &d->logs[index];
        *log = (struct log){
            .name = xasprintf("agent-%s", config.name), .level = (enum log_level)o->log_level, .rates = d->rates};
        struct agent_config c = {
            .loop = &d->loop,
            .env = env_real(),
            .log = log,
            .tls = tls,
            .certs_dir = config.dir,
            .name = config.name,
            .dir = config.dir,
            .run_dir = o->run_dir,
            .masters = config.masters,
            .node_ip = o->node_ip,
            .images_dir = o->images,
            .registries = o->registries,
            .image_gc = &o->image_gc,
            .cluster_cidr = o->cluster_cidr,
            .cgroup_parent = o->cgroup_parent,
            .pod_pids = o->pod_pids,
            .pod_connections = o->pod_connections,
            .user_ids_first = o->user_ids_first,
            .user_ids_pods = o->user_ids_pods,
            .no_user_namespaces = o->no_user_namespaces,
            .reserved_bytes = o->reserved_bytes,
            .evict_at = &o->evict_at,
            .pods_reach_masters = o->pods_reach_masters,
            .seccomp_dir = o->seccomp_dir,
            .local_volumes = o->local_volumes,
            .local_bytes = o->local_bytes,
            .unsafe_sysctls = o->sysctls,
            .handlers = o->handlers,
            .handlers_count = o->handlers_count,
            .hollow = strcmp(o->runtime, "hollow") == 0 || o->hollow_nodes > 0,
            .hollow_index = (unsigned)index,
        };
        rv = agent_new(&c, &d->agents[index], err);
        if (rv == 0) {
            log_info(log, "main", "reeve-agent %s, node %s, directory %s", REEVE_VERSION, config.name, config.dir);
            agent_start(d->agents[index]);
            d->count++;
        }
    }
    net_tls_unref(tls);
    config_close(&config);
    return rv;
}

static int run(const struct options *o)
{
    struct daemon d = {0};
    struct error err = {0};
    long count = o->hollow_nodes > 0 ? o->hollow_nodes : 1;
    if (strcmp(o->runtime, "crun") != 0 && strcmp(o->runtime, "hollow") != 0) {
        return fail_usage("--runtime is crun or hollow, not ", o->runtime);
    }
    if (net_loop_init(&d.loop, &err) != 0) {
        fprintf(stderr, "reeve-agent: %s\n", err.message);
        return 1;
    }
    /* First of all: whoever ends the agent while it begins is heard when the loop runs. */
    uv_signal_init(&d.loop, &d.term);
    uv_signal_init(&d.loop, &d.interrupt);
    uv_timer_init(&d.loop, &d.patience);
    d.term.data = d.interrupt.data = &d;
    uv_signal_start(&d.term, on_signal, SIGTERM);
    uv_signal_start(&d.interrupt, on_signal, SIGINT);
    d.agents = xcalloc((size_t)count, sizeof *d.agents);
    d.logs = xcalloc((size_t)count, sizeof *d.logs);
    d.rates = log_rates_new();
    for (long i = 0; i < count; i++) {
        CLEANUP_FREE char *dir = o->hollow_nodes > 0 ? xasprintf("%s/%ld", o->dir, i) : xstrdup(o->dir);
        if (start_one(&d, o, dir, i, &err) != 0) {
            fprintf(stderr, "reeve-agent: %s\n", err.message);
            return 1;
        }
    }
    uv_run(&d.loop, UV_RUN_DEFAULT);
    uv_loop_close(&d.loop);
    for (long i = 0; i < count; i++) {
        free((char *)d.logs[i].name);
    }
    free(d.agents);
    free(d.logs);
    log_rates_free(d.rates);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o;
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
        printf("reeve-agent %s\n", REEVE_VERSION);
        return 0;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0) {
        fputs(usage_text, stdout);
        return 0;
    }
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage_text, stdout);
            return 0;
        }
    }
    if (strcmp(command, "clean") == 0) {
        struct error err = {0};
        if (argc > 2) {
            fprintf(stderr,
                    "reeve-agent: clean takes no options and no names, but \"%s\" is there; nothing was removed\n"
                    "usage: reeve-agent clean\n",
                    argv[2]);
            return EXIT_USAGE;
        }
        if (clean_node(&err) != 0) {
            fprintf(stderr, "reeve-agent: %s\n", err.message);
        }
        return err.code == 0 ? 0 : 1;
    }
    if (strcmp(command, "join") != 0 && strcmp(command, "run") != 0) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    process_raise_descriptors();
    process_hide_memory();
    pki_wipe_what_is_freed();
    hash_seed_draw(env_real());
    argv[1] = argv[0]; /* for getopt's messages */
    int rv = parse(argc - 1, argv + 1, &o);
    if (rv != 0) {
        return rv;
    }
    struct log log = {.name = "agent", .level = (enum log_level)o.log_level};
    rv = strcmp(command, "join") == 0 ? join(&o, &log) : run(&o);
    mem_wipe(o.token_text, sizeof o.token_text);
    return rv;
}
