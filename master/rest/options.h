/* What a request asks for behind '?', and in the body of a deletion. Pure. Names that are not known count for nothing,
 * as in Kubernetes.
 *
 * Source: Kubernetes' metav1 ListOptions, CreateOptions, UpdateOptions, PatchOptions, DeleteOptions, PodLogOptions,
 * TableOptions, with the rules of their validation. */
#ifndef MASTER_REST_OPTIONS_H
#define MASTER_REST_OPTIONS_H

#include "base/err.h"
#include "base/mem.h"
#include "controllers/deletion.h"
#include "proto/model/value.h"

enum rest_match { REST_MATCH_NONE, REST_MATCH_EXACT, REST_MATCH_NOT_OLDER };
enum rest_validation { REST_VALIDATE_IGNORE, REST_VALIDATE_WARN, REST_VALIDATE_STRICT };
enum rest_include { REST_INCLUDE_METADATA, REST_INCLUDE_NONE, REST_INCLUDE_OBJECT };

struct rest_options {
    /* Reads. */
    struct str labels, fields, token;
    int64_t limit;    /* 0: all */
    bool has_version; /* resourceVersion is there */
    uint64_t version; /* 0: any will do */
    enum rest_match match;
    bool watch, bookmarks, initial; /* initial: sendInitialEvents=true */
    bool has_initial;               /* it is there */
    int64_t timeout_s;              /* of a watch; 0: not told */
    enum rest_include include;
    /* Writes. */
    bool dry_run, has_force, force, has_manager;
    enum rest_validation validation;
    struct str manager;
    /* Deletions. */
    struct deletion_options deletion;
    bool orphan_told; /* orphanDependents was there: false */
    /* Logs. */
    struct str container, since_time;
    bool follow, previous, timestamps;
    int64_t since_s, tail, bytes; /* -1: not told */
    /* Of every answer in JSON. */
    bool has_pretty, pretty;
    /* Health. */
    bool verbose;
    struct str exclude; /* names, each behind a blank */
};

/* query: encoded. ERR_USAGE: 400, malformed; ERR_INVALID: 422, with the option as the field. */
int rest_options_read(struct arena *a, struct str query, struct rest_options *o, struct error *err);
/* Rules of lists and watches among each other. */
int rest_options_check_list(const struct rest_options *o, struct error *err);
/* DeleteOptions of a body: what stands in it counts before what stands in the query. */
int rest_options_read_delete(struct arena *a, const struct value *doc, struct rest_options *o, struct error *err);

#endif
