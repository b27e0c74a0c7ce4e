/* Kinds: one table per kind says everything about it: names, fields, defaults, validation, merge keys, columns.
 *
 * Defaulting, validation, explain, patches, printing and canonical encoding are written once and read these tables
 * (proto/kinds/NAME.c holds them; proto/kinds/list.h lists them). What others do for "every kind" (garbage collection,
 * deletion of a namespace, watches, admission, sealing of secrets, what agents are told of) reads them as well. Adding
 * a kind is adding a table and a row. Source: Kubernetes API reference v1.33, group "" (Namespace, Pod, Node, Service,
 * Endpoints, ConfigMap, Secret, Event, ReplicationController), apps/v1 (ReplicaSet, Deployment, DaemonSet,
 * StatefulSet), batch/v1 (Job, CronJob), discovery.k8s.io/v1 (EndpointSlice), networking.k8s.io/v1 (NetworkPolicy),
 * policy/v1 (PodDisruptionBudget); field names, types, defaults and rules as documented there. */
#ifndef PROTO_SCHEMA_KIND_H
#define PROTO_SCHEMA_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/kinds/list.h"
#include "proto/model/msgpack.h"
#include "proto/model/value.h"

/* ---- Schema tables ---- */

enum field_type {
    FIELD_STRING,
    FIELD_INT32,
    FIELD_INT64,
    FIELD_BOOL,
    FIELD_FLOAT,
    FIELD_TIME,     /* RFC 3339 text */
    FIELD_QUANTITY, /* text; a bare number is accepted and becomes text; kept in canonical form (quantity_canonical) */
    FIELD_INT_OR_STRING, /* port name or number, count or percentage */
    FIELD_BYTES,         /* base64 text in YAML and JSON, msgpack bin inside */
    FIELD_OBJECT,        /* sub = schema */
    FIELD_ANY,           /* free-form (managedFields, raw extensions) */
};
enum field_shape { SHAPE_ONE, SHAPE_LIST, SHAPE_MAP }; /* LIST and MAP (string keys): of `type` */

enum field_flags {
    FIELD_REQUIRED = 1 << 0,
    FIELD_READONLY = 1 << 1,    /* set by the system; dropped from user input on create (uid, generation, ...) */
    FIELD_SET = 1 << 2,         /* list of scalars merged as a set (strategic merge "merge" without key) */
    FIELD_RETAIN_KEYS = 1 << 3, /* strategic merge "retainKeys" (volumes, deployment strategy) */
    FIELD_STATUS = 1 << 4,      /* written through the status part only */
    FIELD_SECRET = 1 << 5,      /* never in logs, errors or events */
    FIELD_ZERO = 1 << 7,  /* false, 0 or {} is as good as absent (kind_equal); what Kubernetes' types do not point to */
    FIELD_KEY = 1 << 8,   /* names another object: if not empty it must be a name that may be a key (name_is_key) */
    FIELD_MICRO = 1 << 9, /* of a time: Kubernetes' MicroTime, written with six digits behind the second */
    FIELD_EMPTY = 1 << 10, /* of a string: "" says something, which is not what absence says */
};

/* What a field does today. A row is done unless it says otherwise; who adds a row looks at who reads it. kind_check
 * refuses, kind_find_warnings warns and explain marks by this one column, so a field that begins to work is one word
 * changed in its row. */
enum field_state {
    FIELD_DONE,    /* carried out; or of a kind that only records it (labels, events, status) */
    FIELD_WARNED,  /* kept and not carried out, but the object is still what it says it is: the client is warned */
    FIELD_REFUSED, /* not carried out, and going on without it would break a promise: refused where it is new */
};

struct field {
    const char *name;
    enum field_type type;
    enum field_shape shape;
    const struct schema *sub; /* FIELD_OBJECT */
    const char *merge_key;    /* SHAPE_LIST of objects: the patchMergeKey, or NULL (atomic list) */
    const char *merge_key2;   /* second part of a list map key, only for uniqueness (ports: protocol), or NULL */
    unsigned flags;
    const char *fallback; /* default as text ("Always", "30", "true"), or NULL */
    const char *one_of;   /* allowed strings, "A|B|C", or NULL */
    const char *doc;      /* one or two sentences of our own for explain */
    enum field_state state;
    const char *undone; /* WARNED, REFUSED: what does not happen, for people: "containers do not see each other" */
    /* When a field that is not done asks for nothing, so that there is nothing to refuse or warn of (beside false,
     * "", {}, []): */
    const char *quiet; /* its value is one of "A|B" ("true" for a switch that is on by itself; "type=None" for a map) */
    const char *beside; /* "medium=Memory": this member of the same map has this value */
    const char *keys;   /* SHAPE_MAP: only these keys "A|B" ask for what is not done */
    unsigned since;     /* feature level (schema/release.h) from which on it may be written */
    /* Of the field in Kubernetes' protobuf message. 0: one more than the row before has, as in a C enum; the first row
     * is 1. FIELD_NO_NUMBER: the message has no such field. */
    uint8_t number;
    /* JSON shows the field here, and the message keeps it in a message of its own, in the field of this number; there
     * numbers begin with 1 again, and behind it they go on from this one. 0: it does not. */
    uint8_t inside;
};
#define FIELD_NO_NUMBER 255u
struct schema {
    const char *name;           /* "PodSpec" */
    const struct field *fields; /* in canonical order */
    unsigned count;
    const char *doc;
};
const struct field *schema_field(const struct schema *s, struct str name); /* NULL if unknown */
/* Numbers of the rows of a schema in protobuf (schema/number.c): call it with each row from the first on. *last is
 * {0, 0} before and is kept by it. number 0: the message has no such field. */
struct field_number {
    unsigned number, inside;
};
struct field_number field_number_next(struct field_number *last, const struct field *f);
/* The field with this number, in the message itself (inside = 0) or in the one that it keeps in `inside`. NULL: none.
 * *opens: in `number` there is such a message. */
const struct field *schema_field_numbered(const struct schema *s, unsigned inside, unsigned number, bool *opens);

/* ---- Kinds ---- */

/* KIND_POD and so on, from proto/kinds/list.h. */
enum kind_id {
#define KIND_NUMBER(name, NAME, number) KIND_##NAME = (number),
    KIND_LIST(KIND_NUMBER)
#undef KIND_NUMBER
        KIND_ID_MAX = 65535, /* what a log or a snapshot may say; nothing is as large as this */
};

/* Collects what is wrong, up to ERRLIST_MAX findings; the first ones are what the user sees. All are counted. */
#define ERRLIST_MAX 16
struct errlist {
    struct arena *arena;
    unsigned count;
    unsigned more; /* that were found when it was full */
    struct {
        enum error_cause reason;
        const char *field, *message;
        unsigned line, column;
        bool whole; /* the message names the field itself */
    } items[ERRLIST_MAX];
};
void errlist_add(struct errlist *l, enum error_cause reason, const struct value *where, const char *field,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Turn the findings into one ERR_INVALID error: `Pod "web" is invalid: spec.containers[0].image: Required value ...`;
 * several findings stand on lines of their own ("\n* ..."). A finding whose line is known begins with
 * `FILE:LINE:COLUMN: `, or, if file is NULL, `line LINE, column COLUMN: `; a single one with a file leaves `what` out.
 * err->field is that of the first finding, and each finding is a cause of the error. Returns 0 and leaves err alone
 * if there are none. */
int errlist_to_error(const struct errlist *l, const char *what, const char *file, struct error *err);

struct object;
struct kind_warnings;
/* What its cells are in Kubernetes' tables where they are no text. */
enum column_value {
    COLUMN_TEXT,
    COLUMN_PLAIN,   /* numbers and true and false as they are, though the column calls itself "string", as there */
    COLUMN_INTEGER, /* the column says so, too */
    COLUMN_BOOLEAN,
};
struct column {
    const char *title; /* "NAME", "READY" */
    bool wide;         /* only with -o wide */
    enum column_value value;
    /* Cell text into out; now_ms is wall time for ages. NULL = the generic NAME or AGE column by title; of NAME it adds
     * to the name. */
    void (*cell)(struct buf *out, const struct object *o, int64_t now_ms);
};

/* The text of a cell. With KIND_AGES_OPEN as now_ms its ages are left open, so that it is the same at any time:
 * kind_close_ages writes them. */
#define KIND_AGES_OPEN INT64_MIN
void kind_write_cell(struct buf *out, const struct column *c, const struct object *o, int64_t now_ms);
/* For cells: how long ago that was ("5m12s"; of what is to come "0s"). Left open it is the byte 0xff and then_ms in
 * eight bytes, little-endian; kind_write_cell sees to it that the strings of the cell have no such byte. */
#define KIND_AGE_OPEN_BYTES 9u
void kind_write_since(struct buf *out, int64_t then_ms, int64_t now_ms);
/* Appends text (UTF-8) with its open ages as of now_ms. */
void kind_close_ages(struct buf *out, struct str text, int64_t now_ms);

/* Other versions that documents of a kind may be written in; the one that is stored, kept and answered with is the
 * kind's api_version. */
struct kind_version {
    const char *api_version; /* "apps/v1beta2"; may be of another group */
    /* In place, to the stored one and from it, with what the spelling implied written out; NULL = the words are the
     * same. apiVersion is set by the caller. Up is called on documents that nobody has checked. */
    void (*up)(struct arena *a, struct value *doc);
    void (*down)(struct arena *a, struct value *doc);
    bool read_only;              /* taken, but nobody is answered in it: what old manifests say */
    const struct schema *schema; /* its fields where they are others; NULL = those of the stored version */
};

/* What the names of a kind's objects must be, beside name_is_key. */
enum kind_names { NAMES_DNS_SUBDOMAIN, NAMES_DNS_LABEL, NAMES_KEY };

/* Another object that an object names: see kind_references. */
struct kind_reference {
    const struct kind *kind;
    struct str ns, name; /* borrowed from the object; ns is empty for cluster-wide kinds */
    struct str uid;      /* of owners; empty where the reference is by name alone */
    enum reference_use {
        REFERENCE_OWNER,   /* metadata.ownerReferences */
        REFERENCE_CONTENT, /* its content is needed where the pods run: agents are told of it */
        REFERENCE_PLACE,   /* the node that it is bound to */
        REFERENCE_TARGET,  /* named, no more */
    } use;
    bool optional; /* what names it does without */
};
typedef void kind_reference_cb(void *data, const struct kind_reference *r);
typedef void kind_claim_cb(void *data, struct str key);

/* Other objects that a description of one shows: see proto/describe/describe.h. */
#define KIND_RELATED_MAX 4u
struct kind_related {
    enum kind_id kind;
    /* What of them has its name, or which of these they are; none: it is their controller. */
    const char *field; /* "spec.nodeName" */
    const char *label;
    bool referring; /* it names the object (kind_references) */
    bool within;    /* it is in the namespace that the object is */
    const char *ns; /* it is in this one; NULL: in the object's */
    bool optional;  /* who may not see it is shown the rest */
};
struct describe_context;

struct kind {
    enum kind_id id;
    const char *name;        /* "Deployment" */
    const char *api_version; /* "apps/v1" */
    const char *plural, *singular;
    const char *short_names; /* "deploy", comma separated, or "" */
    bool namespaced;
    bool has_status;     /* status is a part of its own: update ignores it, update of the status ignores the rest but
                             annotations */
    bool has_scale;      /* spec.replicas */
    bool has_generation; /* metadata.generation counts changes of spec */
    /* Fields that field selectors know beside metadata.name and, if namespaced, metadata.namespace, separated by
     * blanks: "spec.nodeName". "source=source.component": a name of its own for a path. NULL = none. */
    const char *selectable;
    unsigned since; /* feature level (schema/release.h) from which on there may be objects of it */
    enum kind_names names;
    bool secret;                         /* what is in it is sealed on disk, wiped from memory, and in no message */
    bool unowned;                        /* a record about others (an event): garbage collection leaves it alone */
    bool in_steps;                       /* deleted step by step (grace, contents), never by a transaction at once */
    bool is_content;                     /* agents get those that their pods name (REFERENCE_CONTENT) */
    bool has_ephemeral;                  /* the part "ephemeralcontainers" */
    bool has_approval;                   /* the part "approval": of its status the conditions */
    bool put_makes;                      /* a PUT of what is not there makes it */
    bool put_needs_version;              /* a PUT of what is there must say which version it changes */
    bool tells_undone;                   /* what of its spec is not carried out stands in a condition */
    bool json_only;                      /* Kubernetes has no protobuf message for it: its rows have no numbers */
    const struct kind_version *versions; /* ended by an api_version of NULL; NULL = none but api_version */
    const struct schema *schema;
    bool in_all;      /* `get all`: the category "all" */
    bool is_pruned;   /* `apply --prune` without a list of kinds deletes it: Kubernetes' default list */
    const char *pods; /* path of a pod's spec in it: "spec" of a pod, "spec.template.spec" of what makes pods; NULL */
    const struct column *columns;
    unsigned columns_count;
    /* Rules beyond the table. `old` is NULL on create. May be NULL. Called after schema checks and defaulting. */
    void (*validate)(const struct value *obj, const struct value *old, struct errlist *l);
    /* Defaults beyond the table (labels of a Deployment's selector from the template for old spellings, resources'
     * requests from limits, ...). May be NULL. Called after the table's defaults. */
    void (*fill)(struct arena *a, struct value *obj);
    /* Admission of a create by a user, between the checks of types and kind_check: the first state (phase, finalizers),
     * defaults that are the cluster's and not the kind's. May be NULL. */
    void (*begin)(struct arena *a, struct value *obj);
    /* Admission of an update: what a manifest that does not speak of it leaves alone. May be NULL. */
    void (*keep)(struct arena *a, struct value *obj, const struct value *old);
    /* What is allowed, and yet hardly meant (kind_find_doubts). May be NULL. */
    void (*doubt)(const struct value *obj, struct arena *a, struct kind_warnings *out);
    /* What it refers to beside its owners: every reference, in the order of the fields. May be NULL. Ask
     * kind_references. */
    void (*references)(const struct object *o, kind_reference_cb *cb, void *data);
    /* What it has for itself alone: no two objects may claim the same key at once (proto/facts/claim.h). May be
     * NULL. */
    void (*claims)(const struct object *o, kind_claim_cb *cb, void *data);
    /* `rctl describe`, all of it (proto/describe/describe.h); NULL = the document as it is. */
    void (*describe)(struct buf *out, const struct object *o, const struct describe_context *c);
    const struct kind_related *related; /* what describe wants to see beside it, ended by a kind of 0; NULL = nothing */
};

const struct kind *kind_by_id(unsigned id);       /* NULL if unknown */
const struct kind *kind_by_name(struct str name); /* "Pod", or with its group "Deployment.apps"; exact */
struct str kind_group(const struct kind *k);      /* "apps"; empty for the first group */
/* Says of which object an error is (error_about), unless it is said already: by its plural, in ERR_INVALID by the
 * kind's name, as Kubernetes does. err may be NULL. */
void kind_error_about(struct error *err, const struct kind *k, struct str name);
/* The kind of a group and name, as references have them: apiVersion in any version of the kind's group, or one of
 * its versions. NULL if none. */
const struct kind *kind_of_reference(struct str api_version, struct str name);
/* A document of the kind in its stored version becomes one of another version; ERR_UNSUPPORTED if the kind is not
 * served in it. */
int kind_write_version(const struct kind *k, struct arena *a, struct value *doc, struct str api_version,
                       struct error *err);
/* Every other object that o names: its owners of known kinds, then what its kind tells. Names are borrowed for the
 * call of cb. The same object may come more than once. */
void kind_references(const struct object *o, kind_reference_cb *cb, void *data);
/* What a person types: kind, plural, singular or short name, any case ("deploy", "Pods", "deployments.apps"). NULL
 * if none. */
const struct kind *kind_by_any_name(struct str name);
/* The same; the name may also ask for another version that the kind is answered in ("widgets.v1beta1.example.io"),
 * which *api_version is then; else it is the kind's own. */
const struct kind *kind_in_named_version(struct str name, const char **api_version);
const struct kind *kind_nearest(struct str name); /* for "did you mean"; NULL if nothing is near */
/* What Kubernetes has and Reeve has not yet ("Job"), by any of its names as above; NULL if it is none of these. */
const char *kind_not_yet(struct str name);
const char *kind_instead(struct str name); /* of such a kind, what there is in its place, for people; or NULL */
/* What to say about a name that is no kind: `Job is not there yet`, `did you mean "pods"?`, or where the kinds are
 * listed. */
void kind_explain_unknown(struct buf *out, struct str name);
/* The kind of what a store holds under a number: a known one or, of a newer program's, a stand-in that knows no more
 * than metadata (schema/unknown.c). NULL: no kind has such a number. Stand-ins are found by number alone, and by no
 * function above. */
const struct kind *kind_stored(unsigned id);
bool kind_is_unknown(const struct kind *k); /* it is a stand-in */
/* The fields of what is answered in this version; NULL if the kind is not served in it, or if its words of then are not
 * in a table. */
const struct schema *kind_version_schema(const struct kind *k, struct str api_version);
unsigned kinds_count(void);
const struct kind *kinds_at(unsigned i); /* in kind_id order */

/* Bodies of requests that are asked with and never stored: DeleteOptions, Scale, Eviction, reviews
 * (proto/kinds/requests.c). A kind with id 0, of which there are names and fields: kind_check_fields checks one.
 * plural is where it is sent to, "subjectaccessreviews" or "pods/eviction"; "" if it comes along with another verb.
 * NULL: none; DeleteOptions are taken in any version, as clients write them in that of the kind that they delete. */
const struct kind *kind_of_request(struct str api_version, struct str name);
unsigned kind_requests_count(void);
const struct kind *kind_requests_at(unsigned i);

/* ---- The way in: from a document to a checked one ---- */

/* Limits of a document beside its size, so that checking it stays quick: entries of one list of objects (or list merged
 * as a set), keys of one free map. Above them: ERR_INVALID, `Too many: ...`. */
#define KIND_LIST_MAX 1024u
#define KIND_MAP_MAX  4096u

enum kind_check_flags {
    KIND_CHECK_LENIENT = 1 << 0, /* drop unknown fields instead of refusing (--validate=false) */
    KIND_CHECK_UPDATE = 1 << 1,  /* `old` is given: immutable fields are compared */
    KIND_CHECK_PATCH = 1 << 2,   /* the document is a patch: nulls and keys that begin with $ stay */
    KIND_CHECK_KEEP = 1 << 3,    /* unknown fields stay as they are: from a peer that may be newer, not from a person */
};
/* Among the flags: the feature level of the cluster that it is for. Fields of later levels count as unknown. Without
 * it: all that this program knows. */
#define KIND_CHECK_LEVEL(level) ((MIN(level, 0x7ffeu) + 1u) << 16)
/* The kind a document names by apiVersion and kind, converting spellings people have in old manifests in place
 * (extensions/v1beta1, apps/v1beta1, apps/v1beta2 -> apps/v1, with a selector from the template's labels).
 * NULL with ERR_INVALID naming the nearest kind, or apiVersion, if unknown. */
const struct kind *kind_of_document(struct arena *a, struct value *doc, struct error *err);
/* Types and unknown fields (with line, column and nearest known name), normal forms (quantity numbers to text, base64
 * to BIN, integral floats to ints), nulls removed. Then table defaults, fill(), metadata rules (DNS names, label and
 * annotation syntax and size), validate(), and no field that is FIELD_REFUSED (on update: none that old does not have
 * alike). The document is changed in place; a namespaced one without a namespace goes to "default".
 * On update, what is unknown and the same in old (at the same place; in lists by merge key) stays: a newer program
 * wrote it. On update both are whole documents: what the caller keeps from old (status, uid, ...) must be in doc
 * already. Returns 0, or ERR_INVALID. */
int kind_check(const struct kind *k, struct arena *a, struct value *doc, const struct value *old, unsigned flags,
               struct error *err);
/* Only the first step, no defaults: for manifests on the client side, and patches. */
int kind_check_fields(const struct kind *k, struct arena *a, struct value *doc, unsigned flags, struct error *err);
/* The same for a change of what is stored: what is unknown and the same in old stays. */
int kind_check_fields_of(const struct kind *k, struct arena *a, struct value *doc, const struct value *old,
                         unsigned flags, struct error *err);
/* The first field in a canonical body that may not be written at a feature level, as a path in the arena; NULL:
 * none. */
const char *kind_find_later(const struct kind *k, struct arena *a, struct mp body, unsigned level);
/* The same for callers that know the file's name: findings go to l (its arena set), for errlist_to_error. */
void kind_find_field_errors(const struct kind *k, struct arena *a, struct value *doc, unsigned flags,
                            struct errlist *l);
/* Do two documents, or what stands at a path of fields in them ("spec.template"; "" is all), mean the same? Quantities
 * and times count by value, null, "", [], a free map without keys and the table's default are as absent, 80 is "80"
 * where both are allowed, and order counts in lists only. Documents are kept in canonical form since kind_check makes
 * it; what an older program stored may not be, so whatever decides whether something has changed (a template, a
 * spec) asks here. Source: Kubernetes' equality.Semantic. */
bool kind_equal(const struct kind *k, const char *path, const struct value *a, const struct value *b);
/* Defaults of the table and the kind's own. The fields must have been checked. */
void kind_fill_defaults(const struct kind *k, struct arena *a, struct value *doc);
/* The fields of a whole document that are kept and not carried out, as `PATH: not carried out yet: WHY`, without what
 * only the system writes: those to be warned of, and those that would be refused but are there (an older program took
 * them, or nobody has checked yet). The first KIND_WARNINGS_MAX. */
#define KIND_WARNINGS_MAX 16u
struct kind_warnings {
    unsigned count;
    const char *items[KIND_WARNINGS_MAX]; /* arena */
};
void kind_find_warnings(const struct kind *k, struct arena *a, const struct value *doc, struct kind_warnings *out);
/* The same as a condition of a new object, so that it can be seen for as long as the object lives: NotCarriedOut=True
 * in status.conditions. Nothing if there is nothing to say. Of kinds whose conditions are kept by whoever writes
 * their status. */
#define CONDITION_NOT_CARRIED_OUT "NotCarriedOut"
void kind_add_undone_condition(const struct kind *k, struct arena *a, struct value *doc, int64_t wall_ms);
/* Adds to them what is allowed in a checked document and yet hardly meant, as `PATH: WHY`: a variable twice, a memory
 * of less than a byte, a certificate and a foreign key. */
void kind_find_doubts(const struct kind *k, struct arena *a, const struct value *doc, struct kind_warnings *out);
/* What a document is called in errors: `Pod "web"`. Arena memory. */
const char *kind_document_name(const struct kind *k, struct arena *a, const struct value *doc);
/* Take out what only the system writes (FIELD_READONLY, at any depth; and the status of kinds that have one): for a
 * create, before kind_check, which fills in a first status where the kind has one (Pod: phase Pending; Namespace:
 * phase Active). */
void kind_drop_readonly(const struct kind *k, struct value *doc);

/* Canonical bytes: keys in schema order, null and absent fields left out, maps with free keys sorted by key.
 * metadata.resourceVersion is never part of the bytes. Never fails: what the table does not know (of a newer
 * program) is carried through, behind what it knows. */
void kind_encode(const struct kind *k, const struct value *doc, struct buf *out);

/* ---- Helpers that share the tables ---- */
/* `rctl explain pods.spec.containers`: text for people. ERR_NOT_FOUND names the nearest field. */
int kind_explain(struct buf *out, struct str path, bool recursive, struct error *err);
/* May it be a key, of the store, an index, a queue? 1 to NAME_KEY_MAX printable ASCII characters, none of them a blank,
 * '/' or '%', and not "." or "..": what Kubernetes allows as a segment of a path. Every name that is looked up
 * anywhere passes this one check on its way in. */
#define NAME_KEY_MAX      253u
#define NAMESPACE_KEY_MAX 63u
bool name_is_key(struct str s);
/* Names that are made up, always valid if what they are made of is. What stands in front of the random letters: `base`
 * (a generateName) cut to `max`, without a separator that could not stand where the cut has left it ("a.-" would not be
 * a name with "x" behind it). Source: Kubernetes' names.SimpleNameGenerator: 63 less five letters. */
#define NAME_GENERATE_MAX 58u
struct str name_generate_base(struct str base, size_t max);
/* generateName of what an object with this name makes: "NAME-", cut. */
struct str name_generate_prefix(struct arena *a, struct str owner);
/* Of an event about an object: "NAME.HASH", where NAME is cut and ends in a letter or digit ("object" for one that
 * has no good name). */
struct str name_of_event(struct arena *a, struct str about, uint64_t hash);
bool name_is_dns_label(struct str s);     /* RFC 1123 label, at most 63 */
bool name_is_dns_subdomain(struct str s); /* at most 253 */
bool name_is_label_key(struct str s);     /* [prefix/]name */
bool name_is_label_value(struct str s);   /* at most 63 */
bool name_is_config_key(struct str s);    /* key of a ConfigMap or Secret */
bool name_is_env(struct str s);           /* environment variable */
/* Edit distance with an upper bound of 3, for "did you mean": smaller is nearer; 4 = far. */
unsigned name_distance(struct str a, struct str b);
/* The same, but 1 where three or more letters begin the name, and 4 as well where the names are so short that the
 * distance says nothing: of up to four letters one may be wrong, of up to seven two. A guess that is far misleads. */
unsigned name_nearness(struct str typed, struct str name);

#endif
