/* reeve-master: its commands are rows of a table at the end. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/process.h"
#include "master/auth/setup.h"
#include "master/auth/tokens.h"
#include "master/config.h"
#include "master/daemon.h"
#include "master/members/level.h"
#include "master/rescue/recover.h"
#include "master/rescue/repair.h"
#include "master/rescue/restore.h"
#include "master/stop.h"
#include "proto/rpc/api.h"

#define JOIN_TIMEOUT_MS 60000

/* Read by jemalloc at the start: a master's loop and its workers need few arenas, and what is not used for a second
 * goes back to the system. Without jemalloc nobody reads it. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";

struct arguments;
struct command {
    const char *name;
    const char *usage;   /* behind the name; a second form behind a line break */
    const char *summary; /* may have several lines */
    int (*run)(const struct arguments *a);
};

static const char options_text[] =
    "\n"
    "--yes            do not ask; --force: even if another directory has more\n"
    "--token-file     file that holds the token (\"-\": standard input), so that it stands on no command line\n"
    "--token-uses N   how many newcomers each of the printed tokens lets in (1)\n"
    "--passphrase-file  its first line is the backup's passphrase (\"-\": standard input); otherwise it is asked for\n"
    "--check          only see whether the backup can be restored\n"
    "--listen         where to listen (127.0.0.1:7400)\n"
    "--advertise      where other masters and clients reach this one (as --listen)\n"
    "--agent-address  where agents reach it (as --advertise)\n"
    "--timeout S      how long join tries, while the cluster is busy or without a leader (60)\n"
    "--node-grace S   seconds without a heartbeat until a node is NotReady (40); --heartbeat S: agents' period (10)\n"
    "--usage S        how often agents tell what pods use of cpu and memory (15)\n"
    "--election-timeout MS, --election-timeout-max MS: a silent leader is replaced after so long; the longer, the "
    "longer the\n"
    "                 masters were seen to stand still (450, 3000; equal: always the same)\n"
    "--raft-heartbeat MS: how often a leader is heard (100)\n"
    "--snapshot-entries N, --snapshot-mb N: when a snapshot is due (8192 entries, or a quarter as much log as state, 8 "
    "MB\n"
    "                 at least and 256 MB at most)\n"
    "--queue-mb N     how much the connections of clients and agents may hold of memory in all (1/32 of it, 64 MB to 1 "
    "GB)\n"
    "--state-mb N, --state-objects N: how large the cluster's state may get (an eighth of the memory, an object for "
    "each "
    "KiB\n"
    "                 of that); the leader's word counts, so say the same to all masters\n"
    "--events-mb N    how much of events is kept, a quarter of it for a namespace (1/64 of the memory, 8 to 128 MB)\n"
    "--cert-life S, --admin-cert-life S: life of certificates, which renew themselves at two thirds of it (90, 365 "
    "days)\n";

static void print_usage(FILE *to, const char *lead, const struct command *c)
{
    const char *second = strchr(c->usage, '\n');
    int first = second == NULL ? (int)strlen(c->usage) : (int)(second - c->usage);
    fprintf(to, "%s reeve-master %s %.*s\n", lead, c->name, first, c->usage);
    if (second != NULL) {
        fprintf(to, "       reeve-master %s %s\n", c->name, second + 1);
    }
}

/* What is wrong, and how the command is written. Returns the exit code. */
static int misused(const struct command *c, const char *what, const char *arg)
{
    fprintf(stderr, "reeve-master: %s%s%s\n", what, arg == NULL ? "" : ": ", arg == NULL ? "" : arg);
    if (c != NULL) {
        print_usage(stderr, "usage:", c);
    } else {
        fputs("usage: reeve-master init|join|restore|run|admin|inspect|recover --dir DIR ...\n", stderr);
    }
    fputs("See `reeve-master --help`.\n", stderr);
    return 2;
}

enum option_id {
    OPT_DIR = 1000,
    OPT_NAME,
    OPT_CLUSTER,
    OPT_LISTEN,
    OPT_ADVERTISE,
    OPT_AGENT_ADDRESS,
    OPT_TOKEN,
    OPT_TOKEN_FILE,
    OPT_TOKEN_USES,
    OPT_PASSPHRASE_FILE,
    OPT_CHECK,
    OPT_YES,
    OPT_FORCE,
    OPT_LOG_LEVEL,
    OPT_NODE_GRACE,
    OPT_HEARTBEAT,
    OPT_USAGE,
    OPT_ELECTION,
    OPT_ELECTION_MAX,
    OPT_RAFT_HEARTBEAT,
    OPT_SNAPSHOT_ENTRIES,
    OPT_SNAPSHOT_MB,
    OPT_QUEUE_MB,
    OPT_STATE_MB,
    OPT_EVENTS_MB,
    OPT_STATE_OBJECTS,
    OPT_TIMEOUT,
    OPT_CERT_LIFE,
    OPT_ADMIN_CERT_LIFE,
    OPT_SET,
};

static const struct option options[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"id-name", required_argument, NULL, OPT_NAME},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"advertise", required_argument, NULL, OPT_ADVERTISE},
    {"agent-address", required_argument, NULL, OPT_AGENT_ADDRESS},
    {"token", required_argument, NULL, OPT_TOKEN},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"token-uses", required_argument, NULL, OPT_TOKEN_USES},
    {"passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE},
    {"check", no_argument, NULL, OPT_CHECK},
    {"yes", no_argument, NULL, OPT_YES},
    {"force", no_argument, NULL, OPT_FORCE},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"node-grace", required_argument, NULL, OPT_NODE_GRACE},
    {"heartbeat", required_argument, NULL, OPT_HEARTBEAT},
    {"usage", required_argument, NULL, OPT_USAGE},
    {"election-timeout", required_argument, NULL, OPT_ELECTION},
    {"election-timeout-max", required_argument, NULL, OPT_ELECTION_MAX},
    {"raft-heartbeat", required_argument, NULL, OPT_RAFT_HEARTBEAT},
    {"snapshot-entries", required_argument, NULL, OPT_SNAPSHOT_ENTRIES},
    {"snapshot-mb", required_argument, NULL, OPT_SNAPSHOT_MB},
    {"queue-mb", required_argument, NULL, OPT_QUEUE_MB},
    {"state-mb", required_argument, NULL, OPT_STATE_MB},
    {"events-mb", required_argument, NULL, OPT_EVENTS_MB},
    {"state-objects", required_argument, NULL, OPT_STATE_OBJECTS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"cert-life", required_argument, NULL, OPT_CERT_LIFE},
    {"admin-cert-life", required_argument, NULL, OPT_ADMIN_CERT_LIFE},
    {"set", required_argument, NULL, OPT_SET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct arguments {
    const struct command *command;
    const char *const *rest; /* what is no option */
    unsigned rest_count;
    bool help;
    struct master_config config;
    const char *dir, *token, *passphrase_file;
    bool check, yes, force;
    char token_text[128];
    int log_level;
    int64_t timeout_ms; /* join */
};

/* The first word of a file; "-" is standard input. */
static bool read_token(const char *path, char *out, size_t size)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    bool ok = fgets(out, (int)size, f) != NULL;
    if (f != stdin) {
        fclose(f);
    }
    out[ok ? strcspn(out, " \t\r\n") : 0] = '\0';
    return out[0] != '\0';
}

static bool number(const char *s, int64_t scale, int64_t *out)
{
    char *end;
    double v = strtod(s, &end);
    if (*s == '\0' || *end != '\0' || !(v > 0) || v > 1e9) {
        return false;
    }
    *out = (int64_t)(v * (double)scale);
    return *out > 0;
}

/* 0, or the exit code of a wrong command line. */
static int parse(const struct command *command, int argc, char **argv, struct arguments *a)
{
    int c;
    int64_t n = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool ok = true;
        switch (c) {
        case OPT_DIR:
            a->dir = optarg;
            if (strlen(optarg) >= sizeof a->config.dir) {
                return misused(command, "the path of --dir is too long", optarg);
            }
            snprintf(a->config.dir, sizeof a->config.dir, "%s", optarg);
            break;
        case OPT_NAME:
            snprintf(a->config.name, sizeof a->config.name, "%s", optarg);
            break;
        case OPT_CLUSTER:
            snprintf(a->config.cluster, sizeof a->config.cluster, "%s", optarg);
            break;
        case OPT_LISTEN:
            snprintf(a->config.listen, sizeof a->config.listen, "%s", optarg);
            break;
        case OPT_ADVERTISE:
            snprintf(a->config.advertise, sizeof a->config.advertise, "%s", optarg);
            break;
        case OPT_AGENT_ADDRESS:
            snprintf(a->config.agent_address, sizeof a->config.agent_address, "%s", optarg);
            break;
        case OPT_TOKEN:
            a->token = optarg;
            break;
        case OPT_TOKEN_FILE:
            ok = read_token(optarg, a->token_text, sizeof a->token_text);
            a->token = a->token_text;
            break;
        case OPT_TOKEN_USES:
            ok = number(optarg, 1, &a->config.token_uses) && a->config.token_uses <= API_TOKEN_USES_MAX;
            break;
        case OPT_PASSPHRASE_FILE:
            a->passphrase_file = optarg;
            break;
        case OPT_YES:
            a->yes = true;
            break;
        case OPT_FORCE:
            a->force = true;
            break;
        case OPT_CHECK:
            a->check = true;
            break;
        case OPT_LOG_LEVEL:
            a->log_level = log_level_parse(optarg);
            ok = a->log_level >= 0;
            break;
        case OPT_NODE_GRACE:
            ok = number(optarg, 1000, &a->config.node_grace_ms);
            break;
        case OPT_HEARTBEAT:
            ok = number(optarg, 1000, &a->config.agent_heartbeat_ms);
            break;
        case OPT_USAGE:
            ok = number(optarg, 1000, &a->config.agent_usage_ms);
            break;
        case OPT_ELECTION:
            ok = number(optarg, 1, &n);
            a->config.election_timeout_ms = (unsigned)n;
            break;
        case OPT_ELECTION_MAX:
            ok = number(optarg, 1, &n);
            a->config.election_max_ms = (unsigned)n;
            break;
        case OPT_RAFT_HEARTBEAT:
            ok = number(optarg, 1, &n);
            a->config.heartbeat_ms = (unsigned)n;
            break;
        case OPT_SNAPSHOT_ENTRIES:
            ok = number(optarg, 1, &n);
            a->config.snapshot_entries = (unsigned)n;
            break;
        case OPT_TIMEOUT:
            ok = number(optarg, 1000, &a->timeout_ms);
            break;
        case OPT_SNAPSHOT_MB:
            ok = number(optarg, 1, &a->config.snapshot_mbytes);
            break;
        case OPT_QUEUE_MB:
            ok = number(optarg, 1, &a->config.queue_mbytes);
            break;
        case OPT_EVENTS_MB:
            ok = number(optarg, 1, &a->config.events_mbytes);
            break;
        case OPT_STATE_MB:
            ok = number(optarg, 1, &a->config.state_mbytes);
            break;
        case OPT_STATE_OBJECTS:
            ok = number(optarg, 1, &a->config.state_objects);
            break;
        case OPT_CERT_LIFE:
            ok = number(optarg, 1, &a->config.cert_life_s);
            break;
        case OPT_ADMIN_CERT_LIFE:
            ok = number(optarg, 1, &a->config.admin_cert_life_s);
            break;
        case OPT_SET:
            ok = a->config.settings_count < MASTER_SETTINGS_MAX;
            if (ok) {
                a->config.settings[a->config.settings_count++] = optarg;
            }
            break;
        case 'h':
            a->help = true;
            break;
        default:
            return misused(command, "options are wrong, see above", NULL);
        }
        if (!ok) {
            return misused(command, "bad value of an option", optarg);
        }
    }
    a->command = command;
    a->rest = (const char *const *)argv + optind;
    a->rest_count = optind < argc ? (unsigned)(argc - optind) : 0;
    return a->dir == NULL && !a->check && !a->help ? misused(command, "--dir is missing", NULL) : 0;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "reeve-master: %s\n", err->message);
    return 1;
}

static int load(const struct arguments *a, struct master_config *config, struct error *err)
{
    int rv = master_config_load(a->dir, config, err);
    if (rv == 0 && a->log_level >= 0) {
        config->log_level = (enum log_level)a->log_level;
    }
    return rv;
}

static bool told_to_stop(const struct stop *stop, const struct log *log)
{
    bool told = stop_asked(stop);
    if (told) {
        log_info(log, "main", "told to stop before it serves");
    }
    return told;
}

/* Serves; comes back from damage, with a new id, as often as need be (repair.h). Whoever tells it to stop while it does
 * not serve finds it stopped with 0 as well; only what a person has to mend is told before, with 1. Damage that was met
 * is marked first, so that the next start does not forget it. */
static int run(const struct arguments *a)
{
    setenv("UV_THREADPOOL_SIZE", "8", 0); /* segment preparation and resolving share it */
    signal(SIGPIPE, SIG_IGN);
    struct error err = {0}, met = {0};
    struct stop stop;
    int lock = -1; /* until the process ends, as stop does */
    if (stop_watch(&stop, &err) != 0) {
        return fail(&err);
    }
    for (enum master_damage damage = MASTER_DAMAGE_NONE;;) {
        struct master_config config;
        struct log log = {.name = "master"};
        if (load(a, &config, &err) != 0) {
            return fail(&err);
        }
        if (level_check(config.feature_level, config.dir, &err) != 0) {
            return fail(&err);
        }
        if (removed_marker(&config, &err) != 0) {
            fail(&err);
            return MASTER_EXIT_REMOVED;
        }
        log.level = config.log_level;
        if (lock < 0 && master_config_lock(a->dir, &lock, &err) != 0) { /* which may have waited */
            return told_to_stop(&stop, &log) ? 0 : fail(&err);
        }
        failpoint(FAILPOINT_run_before_look);
        if (damage == MASTER_DAMAGE_NONE && told_to_stop(&stop, &log)) {
            return 0;
        }
        failpoint(FAILPOINT_run_before_repair);
        int rv = damage == MASTER_DAMAGE_NONE ? repair_before_start(&config, &log, &stop, &err)
                                              : repair_after_damage(&config, &log, &stop, damage, met.message, &err);
        if (rv != 0) {
            int code = rv == ERR_CANCELED ? 0 : fail(&err);
            return rv == ERR_FORBIDDEN ? MASTER_EXIT_REMOVED : code; /* the others do not take it back */
        }
        if (damage != MASTER_DAMAGE_NONE) {
            damage = MASTER_DAMAGE_NONE; /* and look at the directory anew */
            continue;
        }
        if (told_to_stop(&stop, &log)) {
            return 0;
        }
        failpoint(FAILPOINT_run_before_serving);
        rv = master_run(&config, &stop, &damage, &met);
        failpoint(FAILPOINT_run_after_serving);
        if (damage == MASTER_DAMAGE_NONE) {
            return rv < 0 ? fail(&met) : rv;
        }
    }
}

static int admin(const struct arguments *a)
{
    struct master_config config;
    struct error err = {0};
    if (master_config_load(a->dir, &config, &err) != 0 || setup_admin(&config, &err) != 0) {
        return fail(&err);
    }
    printf(
        "A new client configuration is in %s/admin.config; use it with rctl --config, or copy it to ~/.reeve/config.\n",
        config.dir);
    return 0;
}

static int init(const struct arguments *a)
{
    struct master_config config = a->config;
    struct error err = {0};
    return setup_init(&config, &err) == 0 ? 0 : fail(&err);
}

static int join(const struct arguments *a)
{
    struct master_config config = a->config;
    struct error err = {0};
    if (a->token == NULL || a->rest_count != 1) {
        return misused(
            a->command,
            "join needs --token-file or --token, and the address of a master; `rctl master add` prints the line", NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    return setup_join(&config, a->token, a->rest[0], a->timeout_ms, &err) == 0 ? 0 : fail(&err);
}

static int inspect(const struct arguments *a)
{
    struct error err = {0};
    return recover_inspect(a->dir, &err) == 0 ? 0 : fail(&err);
}

static int recover(const struct arguments *a)
{
    struct error err = {0};
    if (a->rest_count > RECOVER_PEERS_MAX) {
        return misused(a->command, "too many directories", NULL);
    }
    return recover_run(a->dir, a->rest, a->rest_count, a->yes, a->force, &err) == 0 ? 0 : fail(&err);
}

static int restore(const struct arguments *a)
{
    struct master_config config = a->config;
    struct error err = {0};
    if (a->rest_count != 1) {
        return misused(a->command, "restore needs a backup's file, one", NULL);
    }
    int rv = a->check ? restore_check(a->rest[0], a->passphrase_file, &err)
                      : restore_run(&config, a->rest[0], a->passphrase_file, &err);
    return rv == 0 ? 0 : fail(&err);
}

static const struct command commands[] = {
    {"init",
     "--dir DIR [--cluster NAME] [--listen HOST:PORT] [--advertise HOST:PORT] [--agent-address HOST:PORT]\n"
     "[--set KEY=VALUE...], of the cluster's configuration: podSubnet, nodeCIDRMaskSize, serviceSubnet, dnsDomain ...",
     "make the data directory of a new cluster's first master, and print how others join", init},
    {"join",
     "--dir DIR --token TOKEN | --token-file FILE [--listen HOST:PORT] [--advertise HOST:PORT] [--agent-address "
     "HOST:PORT] MASTER[,MASTER...]",
     "make the data directory of one more master; `rctl master add` (or `replace OLD`) prints the line", join},
    {"restore",
     "--dir DIR [--passphrase-file FILE] [--listen HOST:PORT] [--advertise HOST:PORT] [--agent-address HOST:PORT] "
     "FILE\n--check [--passphrase-file FILE] FILE",
     "make the data directory of a cluster's first master from a backup of `rctl backup save` (\"-\": standard input)",
     restore},
    {"run", "--dir DIR [--log-level debug|info|warn|error]",
     "serve, until SIGTERM or SIGINT, whenever it comes (exit code 0); exit code 3: this master was removed from the\n"
     "          cluster, starting it again is of no use",
     run},
    {"admin", "--dir DIR",
     "write DIR/admin.config anew, with a fresh certificate, when an administrator's has expired or is lost", admin},
    {"inspect", "--dir DIR", "what the log of a stopped master holds, and whether it is damaged; changes nothing",
     inspect},
    {"recover", "--dir DIR [--yes] [--force] [OTHER-DIR...]",
     "when a majority of the masters is lost for good: go on from what this one still has, as the only master.\n"
     "          OTHER-DIR: copies of other masters' directories, to compare with; it says what would be lost and asks",
     recover},
};

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void help(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        print_usage(stdout, i == 0 ? "usage:" : "      ", &commands[i]);
    }
    putchar('\n');
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        printf("%-9s %s\n", commands[i].name, commands[i].summary);
    }
    fputs(options_text, stdout);
}

int main(int argc, char **argv)
{
    struct arguments a = {.log_level = -1, .timeout_ms = JOIN_TIMEOUT_MS};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        help();
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("reeve-master " REEVE_VERSION);
        return 0;
    }
    const struct command *command = argc < 2 ? NULL : command_find(argv[1]);
    process_hide_memory();
    pki_wipe_what_is_freed();
    hash_seed_draw(env_real());
    if (command == NULL) {
        return argc < 2 ? misused(NULL, "a command is missing", NULL) : misused(NULL, "unknown command", argv[1]);
    }
    int rv = parse(command, argc - 1, argv + 1, &a);
    if (rv == 0 && a.help) {
        help();
        return 0;
    }
    rv = rv != 0 ? rv : command->run(&a);
    mem_wipe(a.token_text, sizeof a.token_text);
    return rv;
}
