/* Errors: one list of codes with text and class, and `struct error`, which a person can read.
 *
 * A function that can fail returns 0 or a negative `enum err`. If the reason must be told to a person it takes
 * `struct error *err` last (may be NULL): untouched on success, filled on failure with what was tried, on what,
 * with which value, and what to do next. Callers wrap on the way up with error_wrap().
 *
 * The third outcome: ERR_UNKNOWN_OUTCOME says that the thing may or may not have happened; never use another
 * code for that, and never use it for something that certainly did not happen. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum err_class {
    ERR_CLASS_RETRY,   /* nothing happened; the same request may succeed later */
    ERR_CLASS_CALLER,  /* nothing happened; the request must be changed */
    ERR_CLASS_CORRUPT, /* data on disk or wire is damaged */
    ERR_CLASS_UNKNOWN, /* may have happened */
    ERR_CLASS_SYSTEM,  /* the operating system refused (full disk, no file) */
};

/* name, number on the wire (never reused), Kubernetes status reason, class, text */
#define ERR_LIST(X)                                                                                                    \
    X(INVALID, -1, "Invalid", CALLER, "invalid")                                                                       \
    X(NOT_FOUND, -2, "NotFound", CALLER, "not found")                                                                  \
    X(EXISTS, -3, "AlreadyExists", CALLER, "already exists")                                                           \
    X(CONFLICT, -4, "Conflict", CALLER, "conflict")                                                                    \
    X(FORBIDDEN, -5, "Forbidden", CALLER, "forbidden")                                                                 \
    X(UNAUTHORIZED, -6, "Unauthorized", CALLER, "not authenticated")                                                   \
    X(TOO_LARGE, -7, "RequestEntityTooLarge", CALLER, "too large")                                                     \
    X(LIMIT, -8, "TooManyRequests", RETRY, "limit reached")                                                            \
    X(NO_QUORUM, -9, "ServiceUnavailable", RETRY, "no quorum")                                                         \
    X(NOT_LEADER, -10, "NotLeader", RETRY, "not the leader")                                                           \
    X(UNKNOWN_OUTCOME, -11, "Timeout", UNKNOWN, "outcome unknown")                                                     \
    X(EXPIRED, -12, "Expired", CALLER, "too old a revision")                                                           \
    X(USAGE, -13, "BadRequest", CALLER, "bad request")                                                                 \
    X(CORRUPT, -14, "Corrupt", CORRUPT, "damaged data")                                                                \
    X(IO, -15, "InternalError", SYSTEM, "input/output error")                                                          \
    X(NO_SPACE, -16, "InsufficientStorage", SYSTEM, "no space left")                                                   \
    X(TIMEOUT, -17, "Timeout", RETRY, "timed out")                                                                     \
    X(CLOSED, -18, "ConnectionClosed", RETRY, "connection closed")                                                     \
    X(CANCELED, -19, "Canceled", RETRY, "canceled")                                                                    \
    X(PROTOCOL, -20, "BadRequest", CALLER, "protocol violation")                                                       \
    X(UNSUPPORTED, -21, "NotImplemented", CALLER, "not supported")                                                     \
    X(SYSTEM, -22, "InternalError", SYSTEM, "system error")                                                            \
    X(BUSY, -23, "TooManyRequests", RETRY, "busy")                                                                     \
    X(INTERNAL, -24, "InternalError", CORRUPT, "internal error")

enum err {
#define X(name, number, reason, class, text) ERR_##name = number,
    ERR_LIST(X)
#undef X
};

/* Of one cause among several: name, the word that programs know (Kubernetes' metav1.CauseType). */
#define ERROR_CAUSE_LIST(X)                                                                                            \
    X(INVALID, "FieldValueInvalid")                                                                                    \
    X(REQUIRED, "FieldValueRequired")                                                                                  \
    X(NOT_SUPPORTED, "FieldValueNotSupported")                                                                         \
    X(DUPLICATE, "FieldValueDuplicate")                                                                                \
    X(FORBIDDEN, "FieldValueForbidden")                                                                                \
    X(NOT_FOUND, "FieldValueNotFound")                                                                                 \
    X(TOO_LONG, "FieldValueTooLong")                                                                                   \
    X(TOO_MANY, "FieldValueTooMany")                                                                                   \
    X(NAMESPACE_TERMINATING, "NamespaceTerminating")                                                                   \
    X(DISRUPTION_BUDGET, "DisruptionBudget")                                                                           \
    X(VERSION_TOO_LARGE, "ResourceVersionTooLarge")                                                                    \
    X(FIELD_MANAGER, "FieldManagerConflict") /* its text begins behind the word "conflict" */

enum error_cause {
#define X(name, word) ERROR_CAUSE_##name,
    ERROR_CAUSE_LIST(X)
#undef X
        ERROR_CAUSES
};

#define ERROR_MESSAGE_MAX 1024
#define ERROR_FIELD_MAX   192
#define ERROR_ABOUT_MAX   384 /* group, kind and name together */
#define ERROR_CAUSES_MAX  10  /* kept; all are counted */

/* Plain data: copied by assignment, kept as long as anybody likes. What programs want to know of an error (causes, what
 * it is about) is read by the functions below. */
struct error {
    int code; /* enum err; 0 = no error */
    char message[ERROR_MESSAGE_MAX];
    char field[ERROR_FIELD_MAX]; /* path of the field at fault, "" if none */
    int retry_after_ms;          /* hint; 0 = none */
    char about[ERROR_ABOUT_MAX]; /* group, kind, name, each with its NUL; kind "": nothing is known */
    unsigned causes_all;         /* that were found; the first `causes_kept` of them are here */
    unsigned causes_kept;
    /* Their words stand in the message, once for people and programs. */
    struct error_span {
        uint16_t reason, field_at, field_size, text_at, text_size;
    } causes[ERROR_CAUSES_MAX];
};

/* Name of a code ("NotFound") as sent on the wire; text of a code; class of a code. Unknown codes give "Unknown". */
const char *err_reason(int code);
const char *err_text(int code);
enum err_class err_class(int code);
/* Code for a libuv / errno value (negative errno): ENOSPC -> ERR_NO_SPACE, ENOENT -> ERR_NOT_FOUND, ... */
int err_from_errno(int negative_errno);

/* Fill err (if not NULL) and return code. The message is cut at ERROR_MESSAGE_MAX. */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int error_set_field(struct error *err, int code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* As error_set with ": strerror(errno_value)" appended; the code comes from err_from_errno. */
int error_set_errno(struct error *err, int errno_value, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* One more cause. Its words must stand in the message (the field may be empty); otherwise it is counted and not kept,
 * as those are that are more than ERROR_CAUSES_MAX. err may be NULL. */
void error_add_cause(struct error *err, enum error_cause reason, struct str field, struct str text);
/* A cause that is kept. False: there is no i-th. Borrowed from err. An error with a field and no causes has one: itself
 * (reason by its code). */
struct error_cause_text {
    enum error_cause reason;
    struct str field, text;
};
bool error_cause(const struct error *err, unsigned i, struct error_cause_text *out);
const char *error_cause_word(enum error_cause reason); /* "FieldValueRequired" */
/* The object it is about, for programs: group ("" for the first), kind (the plural; the kind's name for what is not
 * valid), name. Left out if it is longer than ERROR_ABOUT_MAX. err may be NULL. */
void error_set_about(struct error *err, struct str group, struct str kind, struct str name);
bool error_about(const struct error *err, struct str *group, struct str *kind, struct str *name); /* false: not known */
/* Put "prefix: " in front of the message. Returns err->code. */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
