/* The verbs of the API as they are asked for and answered, in no language.
 *
 * A front turns what arrives into one of the requests here, calls its verb, and writes the answer in its own words:
 * front/verbs.c and answers.c speak msgpack-RPC; another language is another front. Verbs know objects, revisions and
 * errors; they know no connection, no encoding, and no way back but the front's functions.
 *
 *   front reads -> struct api_X -> verb_X(call, &request) -> decided on the tip, committed -> front writes the answer
 *
 * Laws
 *  1. A verb ends in exactly one of: front->answer, front->told, front->listed, front->fail, or a stream that
 *     front->open gave. It may come from inside the verb's call or later. The call belongs to the front again then.
 *  2. A request is borrowed for the verb's call: what it points to is copied into the call's arena if it is needed
 *     longer. Documents in it are changed in place: whoever does it once more makes it anew.
 *  3. Reads look at what is committed here. Whoever wants the newest has its read confirmed first (errand_read).
 *  4. Writes are for a leader with an open tip; the front has sent them to it (METHOD_WRITE).
 *
 * Loop thread only. */
#ifndef MASTER_API_API_H
#define MASTER_API_API_H

#include "base/err.h"
#include "base/mem.h"
#include "controllers/deletion.h"
#include "master/auth/principal.h"
#include "proto/facts/access.h"
#include "proto/patch/patch.h"
#include "proto/schema/object.h"
#include "raft-store/store/txn.h"

struct master;
struct lane;
struct watch;
struct api_front;
struct api_answer;

/* One request on its way, as verbs see it. Inside of the front's own. */
struct api_call {
    struct master *m;
    const struct api_front *front;
    const struct principal *who;
    struct arena *arena;    /* the request's: as long as the call */
    struct value *warnings; /* texts for the answer of a write; NULL if there are none. In the arena */
    struct value *notes;    /* for the audit: {resource, namespace, name, key, text}; NULL: none. In the arena */
    void (*seen)(struct api_call *c, const struct api_answer *a); /* before front->answer; NULL: nobody wants to */
    /* What goes on in later turns: a list (read.c), or a deletion of many objects (delete.c). */
    struct listing *listing;
    struct clearing *clearing;
};

/* ---- Requests ---- */

/* An object. ns: STR_NONE for kinds of the whole cluster. */
struct api_target {
    const struct kind *kind;
    struct str ns, name;
};
/* Objects of a kind. ns empty: of all namespaces. Selectors as text; empty: all. */
struct api_selection {
    const struct kind *kind;
    struct str ns, labels, fields;
};

struct api_list {
    struct api_selection of;
    int64_t limit;    /* objects of a page, 1 to API_LIST_LIMIT_MAX; otherwise ERR_USAGE */
    struct str token; /* that the page before ended with (api_listed); empty: the first page */
    uint64_t at;      /* of this version, which this master keeps for pages, else ERR_EXPIRED; 0: of the newest */
};
struct api_watch {
    struct api_selection of;
    struct str node;  /* not empty: pods of this node, whatever `of` says beside the kind (an agent's feed) */
    bool quiet;       /* with node: not told what its agent said of the pods' status itself */
    int64_t revision; /* what came behind it; < 0: first all that match as ADDED, then a BOOKMARK */
};

/* Of every write. */
struct api_write {
    const uint8_t *id; /* TXN_ID_SIZE bytes: a repetition is answered as the first time; NULL: none */
    bool dry_run;      /* check, and answer what would be */
    bool lenient;      /* unknown fields are dropped instead of refused */
    /* Who manages the fields that it writes (proto/managed): at most API_MANAGER_MAX bytes. Empty: "rctl". */
    struct str manager;
};
#define API_MANAGER_MAX 128u
struct api_create {
    struct api_write how;
    struct value *object; /* the document; changed in place */
};
/* What can be written on its own: the object itself (""), "status", "scale", "ephemeralcontainers", "finalize",
 * "approval". */
struct api_part;
const struct api_part *api_part_named(struct str name); /* NULL: there is none */
const char *api_part_name(const struct api_part *part);
/* false, and ERR_NOT_FOUND: objects of the kind have no such part. */
bool api_has_part(const struct kind *k, const struct api_part *part, struct error *err);
enum txn_part api_part_of_txn(const struct api_part *part); /* what a transaction calls it */
struct api_update {
    struct api_write how;
    const struct api_part *part;
    struct value *object; /* its resourceVersion and uid, if any, are preconditions; changed in place */
    /* As a PUT of Kubernetes' API: what is not there is made, of kinds that are made so (struct kind: put_makes), and of
     * some kinds an object without a resourceVersion is ERR_INVALID (put_needs_version). */
    bool is_put;
};
struct api_patch {
    struct api_write how;
    struct api_target of;
    const struct api_part *part;
    struct str api_version; /* whose words the patch has: one that the kind is served in; empty: the stored one */
    enum patch_type type;
    struct value *patch;
    uint64_t if_revision; /* 0 = any */
    struct str if_uid;    /* empty = any */
};
struct api_apply {
    struct api_write how;
    struct value *objects; /* a list of documents, at most MASTER_USER_OBJECTS_MAX */
    bool server_side;      /* by who manages which field, instead of by what was applied before */
    bool force;            /* server_side: what others manage is taken from them; else it is ERR_CONFLICT */
    /* server_side: of objects that are there: one of API_PARTS_APPLIED; "": the objects themselves. */
#define API_PARTS_APPLIED "status scale approval"
    const struct api_part *part;
};
struct api_delete {
    struct api_write how;
    struct api_target of;
    struct deletion_options options;
};
struct api_deletecollection {
    struct api_write how;
    struct api_selection of;
    struct deletion_options options;
};
/* A pod, which is deleted unless a disruption budget forbids it: what Kubernetes has as the subresource `eviction` of
 * pods, with an Eviction (policy/v1): its name and namespace are the pod's, and its deleteOptions are `options`.
 * ERR_LIMIT, the cause ERROR_CAUSE_DISRUPTION_BUDGET, retry_after_ms: not now (controllers/eviction.h). */
struct api_evict {
    struct api_write how;
    struct str ns, name;
    struct deletion_options options;
};
/* A pod is given its node, by who places pods beside the scheduler (spec.schedulerName): what Kubernetes has as the
 * subresource `binding` of pods, with a Binding (v1). ERR_CONFLICT: it has one, waits for gates, is being deleted, or
 * is another one than uid says. */
struct api_bind {
    struct api_write how;
    struct str ns, name, uid; /* of the pod; uid empty: any */
    struct str node;
};
/* Several operations, all or nothing. */
enum api_op_type { API_OP_CREATE, API_OP_UPDATE, API_OP_DELETE, API_OP_CHECK };
struct api_op {
    enum api_op_type type;
    struct value *object; /* create, update */
    struct api_target of; /* delete, check */
    enum txn_part part;   /* update */
    uint64_t if_revision; /* 0 = any */
    struct str if_uid;    /* empty = any */
    bool absent;          /* check: it must not be there */
};
struct api_txn {
    struct api_write how;
    const struct api_op *ops;
    unsigned count; /* at most MASTER_USER_OBJECTS_MAX */
};

/* A token with which newcomers join (auth/tokens.h): its document has token, address, agentAddress, expires, uses. */
struct api_token {
    enum pki_role role;    /* of the newcomers: master or node */
    int64_t ttl_s, uses;   /* how long it is good, and for how many */
    struct str node_names; /* nodes: the name, or a pattern with * and ?, that they must have; empty = any */
    uint64_t replaces;     /* masters: whose place the newcomer takes; 0 = nobody's */
    bool even_reachable;   /* ... also if that one still answers */
};

/* What nodes or pods use, of those that the selection says: the leader alone knows it. */
struct api_metrics {
    struct api_selection of; /* Node or Pod */
    struct str name;         /* of one alone; empty: all */
    int64_t limit;           /* of a page, 1 to API_METRICS_LIMIT; otherwise ERR_USAGE */
    struct str token;        /* that the page before ended with; empty: the first page */
};

/* May somebody do something? Kubernetes' SelfSubjectAccessReview, or, of another one, SubjectAccessReview and
 * LocalSubjectAccessReview. Its document has allowed and reason, and what allows it (proto/rpc/api.h). */
#define API_ACCESS_GROUPS_MAX 32u
struct api_access {
    struct access what;
    bool other; /* of `user` with `groups`; else of who asks */
    bool local; /* with other: in the namespace of `what` alone, whoever may ask there */
    struct str user;
    struct str groups[API_ACCESS_GROUPS_MAX];
    unsigned groups_count;
};
/* All that who asks may do in a namespace: Kubernetes' SelfSubjectRulesReview. Its document has `rules` as roles have
 * them, and `incomplete`. */
struct api_rules {
    struct str ns;
};

/* A token of a service account: Kubernetes' TokenRequest. Its document has token, expirationTimestamp,
 * expirationSeconds (at most what was asked for) and audiences. An agent is given those of accounts of pods that are
 * bound to its node, bound to that pod, and no others. ERR_NOT_FOUND, ERR_INVALID; ERR_CONFLICT: another uid. */
#define API_AUDIENCES_MAX 16u
#define API_AUDIENCE_MAX  512u /* bytes of one */
struct api_account_token {
    struct str ns, name; /* of the account */
    struct str audiences[API_AUDIENCES_MAX];
    unsigned audiences_count;                     /* 0: the masters themselves */
    int64_t expiration_s;                         /* 0: an hour */
    struct str bound_kind, bound_name, bound_uid; /* "Pod", "Secret" or "Node"; empty: nothing, any uid */
};

/* Whose token is this, and is it good for one of these audiences (none: for the masters)? Kubernetes' TokenReview. Its
 * document has authenticated, and user and audiences, or error. */
struct api_token_review {
    struct str token;
    struct str audiences[API_AUDIENCES_MAX];
    unsigned audiences_count;
};

enum api_verb {
    API_GET,
    API_LIST,
    API_WATCH,
    API_CREATE,
    API_UPDATE,
    API_PATCH,
    API_APPLY,
    API_DELETE,
    API_DELETECOLLECTION,
    API_EVICT,
    API_BIND,
    API_TXN,
    /* Answered by a document, which is no object (front->told): its members stand in proto/rpc/api.h. */
    API_TOKEN,
    API_WHOAMI, /* the caller, as the leader sees it */
    API_METRICS,
    API_CLUSTER,     /* what the master that was asked knows of the cluster */
    API_CERT_STATUS, /* and of certificates */
    API_ACCESS,
    API_RULES,
    API_ACCOUNT_TOKEN,
    API_TOKEN_REVIEW,
};
#define API_VERBS (API_TOKEN_REVIEW + 1u)
/* Any of them. */
struct api_request {
    enum api_verb verb;
    /* get: what is asked for; NULL: the object. Rights to it count, for "whole" beside those to the object. */
    const struct api_part *part;
    bool whole; /* get: who asked is answered with the object, whatever its part; the front makes no less of it */
    union {
        struct api_target get;
        struct api_list list;
        struct api_watch watch;
        struct api_create create;
        struct api_update update;
        struct api_patch patch;
        struct api_apply apply;
        struct api_delete delete;
        struct api_deletecollection deletecollection;
        struct api_evict evict;
        struct api_bind bind;
        struct api_txn txn;
        struct api_token token;
        struct api_metrics metrics;
        struct api_access access;
        struct api_rules rules;
        struct api_account_token account_token;
        struct api_token_review token_review;
    };
};

/* ---- Answers ---- */

enum api_done { API_DONE_UNCHANGED, API_DONE_CREATED, API_DONE_CONFIGURED, API_DONE_DELETED };
/* One object of an answer. */
struct api_item {
    const struct object *object; /* as the request left it, or as it was last; NULL: it is not known any more */
    enum api_done done;          /* not of a get */
    bool gone;                   /* it is there no more */
};
/* Borrowed for the call of front->answer. */
struct api_answer {
    enum api_verb verb; /* not of a list, a watch and what is answered by a document */
    uint64_t revision;  /* of the transaction; get: of the state that was read */
    const struct api_item *items;
    unsigned count;               /* one, but for apply and txn; deletecollection tells no items, only their number:
                                     what this request deleted; of one that was done before, what its last piece did */
    bool unchanged;               /* a write that changed nothing */
    const struct value *warnings; /* a list of texts; NULL: none */
    const struct value *notes;    /* for the audit of another master that asked on somebody's behalf; NULL: none */
};
/* The end of a page. */
struct api_listed {
    uint64_t revision; /* of the state that all pages are read from */
    bool more;
    struct str token;  /* more: with which the next page is asked for */
    int64_t remaining; /* more: objects behind this page; -1: not known (selectors) */
};

enum api_event_type { API_ADDED, API_MODIFIED, API_DELETED, API_BOOKMARK };
struct history_txn;
struct api_event {
    enum api_event_type type;
    const struct object *object; /* BOOKMARK: NULL. DELETED: as it was last, or as it is since it left the selection */
    const struct object *left;   /* DELETED, and it lives on: as it was when it was selected. NULL: of all others */
    uint64_t revision;           /* the object's; if it is gone: that of its deletion */
    bool brief;                  /* gone with very many others: its identity will do */
    /* The change that the event tells, which may keep its encoded form for all that watch (store_history_wire). NULL:
     * an object of the list at the start. */
    const struct history_txn *txn;
    unsigned change;
};

/* A stream of events that a front writes. Events are gathered and then sent as one batch, all of a transaction. */
struct api_stream {
    const struct api_stream_front *front;
};
struct api_stream_front {
    size_t batch_max; /* bytes that one batch may have; larger ones are told briefly */
    /* One more event of the batch; its bytes so far. */
    size_t (*event)(struct api_stream *s, const struct api_event *e);
    void (*drop)(struct api_stream *s); /* the batch */
    /* The batch, which is empty then. revision: of the transaction; 0: of the list at the start. 0, or ERR_BUSY: not
     * sent, watch_writable will be called when it is worth trying again; ERR_CLOSED. */
    int (*send)(struct api_stream *s, uint64_t revision);
    /* Once; NULL = a regular end. watch_over follows, unless it was called before. */
    void (*end)(struct api_stream *s, const struct error *err);
};

struct api_front {
    void (*answer)(struct api_call *c, const struct api_answer *a);
    /* A document: maps, lists, texts, numbers. */
    void (*told)(struct api_call *c, struct mp document);
    /* err->code is not 0. What only means that nobody leads at the moment may be tried again by the front. */
    void (*fail)(struct api_call *c, const struct error *err);
    /* One more object of the page; the page's bytes so far, or, if pieces leave, those that were made in this piece and
     * what is left of former ones. */
    size_t (*item)(struct api_call *c, const struct object *o);
    bool pieces_leave; /* what was written leaves with each piece, so a page has no end but its limit */
    void (*listed)(struct api_call *c, const struct api_listed *l);
    /* Before that, when it has come to its end: true to have it walked once more from its beginning, in the same
     * version, for who must know how large it is before it leaves. NULL: never. */
    bool (*again)(struct api_call *c, const struct api_listed *l);
    /* From inside of a verb or of api_go_on: it is called when it is the call's turn again. */
    void (*go_on)(struct api_call *c);
    /* The same from outside: what it waited for has come. */
    void (*wake)(struct api_call *c);
    /* Whose connection: its turns and its watches. NULL: it is gone, or there is none. */
    struct lane *(*lane)(const struct api_call *c);
    /* The call becomes a stream that ends with watch_over(w); it is used up. NULL: the connection is gone. */
    struct api_stream *(*open)(struct api_call *c, struct watch *w);
};

/* ---- Verbs ---- */

void verb_get(struct api_call *c, const struct api_target *of);
void verb_list(struct api_call *c, const struct api_list *q);
void verb_watch(struct api_call *c, const struct api_watch *q);
void verb_create(struct api_call *c, const struct api_create *q);
void verb_update(struct api_call *c, const struct api_update *q);
void verb_patch(struct api_call *c, const struct api_patch *q);
void verb_apply(struct api_call *c, const struct api_apply *q);
void verb_delete(struct api_call *c, const struct api_delete *q);
void verb_deletecollection(struct api_call *c, const struct api_deletecollection *q);
void verb_evict(struct api_call *c, const struct api_evict *q);
void verb_bind(struct api_call *c, const struct api_bind *q);
void verb_txn(struct api_call *c, const struct api_txn *q);
void verb_token(struct api_call *c, const struct api_token *q); /* auth/tokens.c */
void verb_whoami(struct api_call *c);                           /* auth/whoami.c */
void verb_metrics(struct api_call *c, const struct api_metrics *q);
void verb_cluster(struct api_call *c);                                          /* members/members.c */
void verb_cert_status(struct api_call *c);                                      /* auth/certs.c */
void verb_access(struct api_call *c, const struct api_access *q);               /* auth/review.c */
void verb_rules(struct api_call *c, const struct api_rules *q);                 /* auth/review.c */
void verb_account_token(struct api_call *c, const struct api_account_token *q); /* auth/account_token.c */
void verb_token_review(struct api_call *c, const struct api_token_review *q);   /* auth/bearer.c */
void api_do(struct api_call *c, const struct api_request *q);                   /* the one that it is */

bool api_goes_on(const struct api_call *c);     /* it was begun, and api_go_on does the next piece of it */
void api_go_on(struct api_call *c);             /* the next piece of a list, or of a deletion of many objects */
void api_let_go(struct api_call *c);            /* nobody waits for it any more, or it is begun anew */
unsigned api_deleted(const struct api_call *c); /* by the pieces so far */
void watch_writable(struct watch *w);           /* a batch was refused: there is room again; sends in the next turn */
/* Tells it where it stands, by a BOOKMARK, if it has heard all there is; from no callback of the stream's. */
void watch_mark(struct watch *w);
/* The stream has ended: by the other side, with the connection, or after its front's `end`. */
void watch_over(struct watch *w);

/* front->answer, which others may see first. */
void api_answer(struct api_call *c, const struct api_answer *a);

/* ---- For fronts ---- */

/* The kind of this name, "Pod" or "Deployment.apps"; any: also one that objects in the store have and this program does
 * not know. ERR_NOT_FOUND. */
const struct kind *api_kind_named(const struct master *m, struct str name, bool any, struct error *err);
/* Do objects of the kind lie in namespaces? Of a kind that is not known here, those in the store tell. */
bool api_kind_has_namespaces(const struct master *m, const struct kind *k);

struct view;
/* For fronts that tell what a deletecollection has deleted, when it is answered: what there was before it, as a list of
 * one page (front->item, listed). Kubernetes tells the same: what its list had found. The view is referenced. */
void api_list_cleared(struct api_call *c, const struct view *before, const struct api_selection *of);

struct selector;
/* The selectors of a selection, in the arena; NULL: it has none. ERR_USAGE, ERR_INVALID. */
int api_selectors(struct arena *a, const struct api_selection *of, struct selector **labels, struct selector **fields,
                  struct error *err);

void api_fail(struct api_call *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
