/* rctl's frame: the table of commands, what every command is handed, and how it fails.
 *
 * A command is a row (`struct command`), defined in a cmd_*.c and listed in RCTL_COMMANDS below. Its run function
 * returns an exit code. Data goes to out, notes and errors to err_out; colours only when that is a terminal and
 * NO_COLOR is not set. */
#ifndef CLIENT_CMD_RCTL_H
#define CLIENT_CMD_RCTL_H

#include <stdio.h>

#include "client/api/api.h"
#include "client/api/config.h"
#include "client/cmd/args.h"

struct rctl;
struct command {
    const char *name;
    const char *alias;    /* other names, comma separated; NULL = none */
    const char *usage;    /* what follows the name: "TYPE [NAME...]" */
    const char *summary;  /* one line */
    const char *examples; /* lines as typed, each with a comment above */
    const struct option_row *options;
    unsigned options_count;
    const struct command *const *subs; /* NULL-terminated, or NULL */
    int (*run)(struct rctl *r);        /* NULL: only subs */
    bool raw;                          /* options are not read (but --help): run looks at rctl.argv itself */
    bool wordless;                     /* it takes options alone: a word is an error, told with the usage */
};

struct rctl {
    struct arena arena;
    const struct command *command;
    const char *command_name; /* "rollout status" */
    struct args args;
    struct option_table tables[2];
    const char *program; /* argv[0] */
    int argc;            /* the whole command line, as typed */
    const char *const *argv;
    bool config_loaded;
    struct config config;
    struct config_target target;
    struct api *api;             /* once rctl_connect was called */
    FILE *out, *err_out;         /* for words, also those of others: harmless (client/ui/harmless.h) */
    FILE *raw_out, *raw_err_out; /* for bytes: what a container prints, a backup, data for a program */
    bool color;                  /* of err_out: a terminal, and NO_COLOR is not set */
    bool select_whole;           /* a TYPE without names means all of them (common_select) */
    bool recorded;               /* the word about --record has been said */
    unsigned documents;          /* YAML documents printed: between two of them stands "---" */
};

/* The whole program: parses, runs, prints errors, returns the exit code. argv as main() gets it. */
int rctl_main(int argc, const char *const *argv, FILE *out, FILE *err_out);
const struct command *rctl_commands_at(unsigned i); /* NULL behind the last; for completion and tests */
/* For completion: the word as the name of the command or, behind it, of its subcommand. False: it is neither. */
bool rctl_take_command(struct rctl *r, const char *word);
const struct option_row *rctl_global_option(const char *name);
/* The command or option nearest to what was typed; NULL if none is near. */
const struct command *rctl_nearest_command(const char *typed);

/* ---- For commands ---- */

const char *opt(const struct rctl *r, const char *name);
bool opt_flag(const struct rctl *r, const char *name);
/* Loads the configuration and makes the api. 0 or a code with err filled. */
int rctl_connect(struct rctl *r, struct error *err);
/* -n, or the context's namespace. Requires rctl_connect or a loaded configuration; "default" without one. */
const char *rctl_namespace(struct rctl *r);
const char *rctl_config_path(const struct rctl *r); /* --config, by any of its names; NULL: to be looked for */
void rctl_print_options(FILE *f);                   /* those of all commands */
int64_t rctl_now_ms(void);                          /* wall clock */

/* Prints the error (`error: ...`, or `Error from server (Reason): ...` if a master refused) with a hint where there is
 * one, and returns the exit code that belongs to it. EXIT_USAGE is for what rctl itself finds wrong with the command
 * line, not for what a master or a node refuses. */
int rctl_fail(struct rctl *r, const struct error *err);
/* The same for what went wrong here, whatever a master said last. */
int rctl_fail_here(struct rctl *r, const struct error *err);
/* Prints `error: TEXT` and the usage line; returns EXIT_USAGE. */
int rctl_usage(struct rctl *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rctl_note(struct rctl *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rctl_write(struct rctl *r, const struct buf *b);
/* As it is, for programs (jsonpath, templates, documents); on a terminal as rctl_write. */
void rctl_write_data(struct rctl *r, const struct buf *b);
void rctl_print_help(struct rctl *r);

/* The commands, in the order in which help lists them. A command is one file that defines command_NAME, and one row
 * here. */
#define RCTL_COMMANDS(X)                                                                                               \
    /* Objects */                                                                                                      \
    X(get)                                                                                                             \
    X(describe)                                                                                                        \
    X(create)                                                                                                          \
    X(apply)                                                                                                           \
    X(diff)                                                                                                            \
    X(replace)                                                                                                         \
    X(delete)                                                                                                          \
    X(edit)                                                                                                            \
    X(patch)                                                                                                           \
    X(label)                                                                                                           \
    X(annotate)                                                                                                        \
    X(explain)                                                                                                         \
    X(api_resources)                                                                                                   \
    X(api_versions)                                                                                                    \
    X(kustomize)                                                                                                       \
    /* Workloads */                                                                                                    \
    X(rollout)                                                                                                         \
    X(rolling_update)                                                                                                  \
    X(scale)                                                                                                           \
    X(set)                                                                                                             \
    X(run)                                                                                                             \
    X(expose)                                                                                                          \
    X(autoscale)                                                                                                       \
    X(wait)                                                                                                            \
    X(events)                                                                                                          \
    /* Containers */                                                                                                   \
    X(logs)                                                                                                            \
    X(exec)                                                                                                            \
    X(attach)                                                                                                          \
    X(debug)                                                                                                           \
    X(cp)                                                                                                              \
    X(port_forward)                                                                                                    \
    /* Nodes and the cluster */                                                                                        \
    X(cordon)                                                                                                          \
    X(uncordon)                                                                                                        \
    X(drain)                                                                                                           \
    X(taint)                                                                                                           \
    X(image)                                                                                                           \
    X(cluster)                                                                                                         \
    X(cluster_info)                                                                                                    \
    X(auth)                                                                                                            \
    X(user)                                                                                                            \
    X(top)                                                                                                             \
    X(master)                                                                                                          \
    X(token)                                                                                                           \
    X(backup)                                                                                                          \
    X(cert)                                                                                                            \
    X(certificate)                                                                                                     \
    X(up)                                                                                                              \
    X(down)                                                                                                            \
    /* rctl itself */                                                                                                  \
    X(config)                                                                                                          \
    X(version)                                                                                                         \
    X(options)                                                                                                         \
    X(completion)
#define X(name) extern const struct command command_##name;
RCTL_COMMANDS(X)
#undef X

#endif
