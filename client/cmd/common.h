/* What several commands share: -f, --dry-run, -o on results, sending one object, waiting until one is gone. */
#ifndef CLIENT_CMD_COMMON_H
#define CLIENT_CMD_COMMON_H

#include "client/cmd/rctl.h"
#include "client/cmd/resource.h"
#include "client/manifest/manifest.h"
#include "client/ui/print.h"

#define OPTION_ROW_FILENAME                                                                                            \
    {                                                                                                                  \
        "filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", "manifest: a file, a directory, or - for standard input"   \
    }
#define OPTION_ROW_RECURSIVE                                                                                           \
    {                                                                                                                  \
        "recursive", 'R', OPTION_FLAG, NULL, NULL, NULL, "directories below as well"                                   \
    }
/* What a command that reads manifests takes: -f, -R, -k and --skip-unknown. */
#define OPTION_ROWS_FILES                                                                                              \
    OPTION_ROW_FILENAME, OPTION_ROW_RECURSIVE,                                                                         \
        {"kustomize", 'k', OPTION_VALUE, NULL, NULL, "DIR", "the objects that DIR/kustomization.yaml makes"},          \
    {                                                                                                                  \
        "skip-unknown", 0, OPTION_FLAG, NULL, NULL, NULL, "leave out objects of kinds that are not there, and say so"  \
    }
/* What a command that writes objects takes beside --dry-run and -o. */
#define OPTION_ROWS_WRITE                                                                                              \
    {"record", 0, OPTION_FLAG, NULL, NULL, NULL, "write the command line into kubernetes.io/change-cause (old)"},      \
    {                                                                                                                  \
        "field-manager", 0, OPTION_VALUE, "rctl", NULL, "NAME", "who manages the fields that are written"              \
    }
#define OPTION_ROW_DRY_RUN                                                                                             \
    {                                                                                                                  \
        "dry-run", 0, OPTION_MAYBE, "none", "client", "none|client|server",                                            \
            "client: send nothing; server: check, change nothing"                                                      \
    }
#define OPTION_ROW_OUTPUT                                                                                              \
    {                                                                                                                  \
        "output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "print the result: yaml, json, name, jsonpath=..."            \
    }
#define OPTION_ROW_SELECTOR                                                                                            \
    {                                                                                                                  \
        "selector", 'l', OPTION_VALUE, NULL, NULL, "SELECTOR", "labels: app=web,tier in (a,b),!old"                    \
    }
#define OPTION_ROW_ALL                                                                                                 \
    {                                                                                                                  \
        "all", 0, OPTION_FLAG, NULL, NULL, NULL, "all of the type in the namespace"                                    \
    }

/* Checks -o of commands whose answer is no API object: json or yaml. False: it is another word, the error is printed,
 * and *code is what to exit with. To be called before anything is done. */
bool common_form_valid(struct rctl *r, int *code);
/* Prints the document as -o says, which is given and valid. */
void common_print_form(struct rctl *r, const struct value *doc);

/* The name of an image, given with `option` ("--image"): ERR_USAGE if no image can have it. */
int common_image(const char *option, const char *image, struct error *err);

/* -f or -k was given. */
bool common_files_given(const struct rctl *r);
/* All that -f and -k name and -l selects, with the cause of --record in it. -f takes lists (a,b) and no addresses of
 * the web. Documents of kinds that are not there are told on stderr: an error, or with --skip-unknown the rest is
 * handed out. ERR_USAGE without -f and -k. */
int common_manifests(struct rctl *r, struct manifest *out, struct error *err);
/* --record: this command line as the document's (or patch's) cause of change. Nothing without --record. Of a Secret
 * only the command is told: its words may hold values. */
void common_record(struct rctl *r, struct value *doc, bool secret);
/* A=B,C=D into a map; ERR_USAGE says that `what` ("--labels") is no such list. */
int common_pairs(struct rctl *r, const char *what, const char *text, struct value *map, struct error *err);
#define CHANGE_CAUSE "kubernetes.io/change-cause"

enum dry_run { DRY_RUN_NONE, DRY_RUN_CLIENT, DRY_RUN_SERVER };
/* --dry-run; and that -o is a form is checked here as well, before anything is done. ERR_USAGE. */
int common_dry_run(struct rctl *r, enum dry_run *out, struct error *err);
/* Adds dryRun and validate to params, as the options say. */
void common_write_params(struct rctl *r, struct value *params, enum dry_run dry);
bool common_lenient(const struct rctl *r);

/* Prints `pod/web created` (with " (server dry run)"), or the object if -o was given. */
int common_print_object(struct rctl *r, const struct object *o, const char *verb, enum dry_run dry);
/* Is -o a form in which several objects make one List (yaml, json, jsonpath, ...)? */
bool common_prints_list(struct rctl *r);
/* Several objects of one command as one List, as -o says. */
int common_print_list(struct rctl *r, struct object *const *objects, unsigned count);
/* The document of a manifest as a client dry run prints it: a namespace that neither it nor -n names is not written,
 * so that it can go anywhere. */
struct value *common_item_document(struct rctl *r, const struct manifest_item *item);
int common_print_item(struct rctl *r, const struct manifest_item *item, const char *verb);
int common_print_value(struct rctl *r, const struct kind *k, struct value *doc, const char *verb, enum dry_run dry);

/* `Warning: ...` lines for the warnings of a write's answer. */
void common_warn(struct rctl *r, struct mp result);
/* An answer's {object, gone}, or one of an apply's results. *o is never NULL on success: where the answer has no object
 * (it is gone, and nobody has it any more) it is one with nothing but kind, namespace and name, and *gone is true. gone
 * may be NULL. ERR_PROTOCOL for what is no answer at all. */
int common_answer(struct rctl *r, struct mp answer, const struct kind *k, const char *ns, const char *name,
                  struct object **o, bool *gone, struct error *err);
/* A method that answers {object, ...}: create, update, patch, delete; params name the object or hold it. unchanged
 * and gone may be NULL. */
int common_send(struct rctl *r, const char *method, struct value *params, struct object **o, bool *unchanged,
                bool *gone, struct error *err);
/* {kind, namespace, name} */
struct value *common_name_params(struct rctl *r, const struct kind *k, const char *ns, const char *name);
int common_create(struct rctl *r, struct value *doc, enum dry_run dry, struct object **o, struct error *err);
/* type: "strategic", "merge" or "json". part: "" or a part's name. */
int common_patch(struct rctl *r, const struct kind *k, const char *ns, const char *name, const char *type,
                 struct value *patch, const char *part, enum dry_run dry, struct object **o, bool *unchanged,
                 struct error *err);

struct delete_options {
    int64_t grace_s;     /* -1 = the object's own */
    const char *cascade; /* "Background", "Foreground", "Orphan"; NULL = default */
    enum dry_run dry;
};
/* --cascade, if it was given. */
int common_cascade(struct rctl *r, struct delete_options *d, struct error *err);
/* A copy of the document with the annotation that apply compares with (--save-config). */
struct value *common_save_config(struct rctl *r, const struct value *doc);
/* *gone: nothing is left to wait for. */
int common_delete(struct rctl *r, const struct kind *k, const char *ns, const char *name,
                  const struct delete_options *d, struct object **o, bool *gone, struct error *err);
/* Until the object with this uid is no longer there. ERR_TIMEOUT. timeout_ms 0 = for ever. */
int common_wait_gone(struct rctl *r, const struct kind *k, const char *ns, const char *name, struct str uid,
                     int64_t timeout_ms, struct error *err);

/* The objects that words, -l, --all or -f of a command select. ERR_USAGE if none of them is given. */
int common_select(struct rctl *r, struct api_list *out, struct error *err);
/* The same, but an object that is missing does not keep the others from being handled: it is told at once, and *code
 * becomes what to exit with. */
int common_select_there(struct rctl *r, struct api_list *out, int *code, struct error *err);
/* o: given. */
void common_add_object(struct api_list *l, struct object *o);
/* Strings of objects have no NUL behind them: a copy that has, in the arena. */
const char *common_cstr(struct rctl *r, struct str s);
/* How a failure before anything was done ends: usage for ERR_USAGE, otherwise the error. */
int common_fail(struct rctl *r, const struct error *err);

#endif
