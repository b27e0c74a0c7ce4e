#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_reason(int code)
{
    switch (code) {
    case 0:
        return "Success";
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return reason;
        ERR_LIST(X)
#undef X
    default:
        return "Unknown";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case 0:
        return "done";
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return text;
        ERR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}

enum err_class err_class(int code)
{
    switch (code) {
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return ERR_CLASS_##class;
        ERR_LIST(X)
#undef X
    default:
        return ERR_CLASS_UNKNOWN;
    }
}

int err_from_errno(int negative_errno)
{
    switch (negative_errno) {
    case -ENOENT:
        return ERR_NOT_FOUND;
    case -EEXIST:
        return ERR_EXISTS;
    case -ENOSPC:
    case -EDQUOT:
        return ERR_NO_SPACE;
    case -EIO:
        return ERR_IO;
    case -EACCES:
    case -EPERM:
        return ERR_FORBIDDEN;
    case -ETIMEDOUT:
        return ERR_TIMEOUT;
    case -ECANCELED:
        return ERR_CANCELED;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EPIPE:
    case -ENOTCONN:
        return ERR_CLOSED;
    case -EINVAL:
        return ERR_INVALID;
    default:
        return ERR_SYSTEM;
    }
}

static void fill(struct error *err, int code, const char *field, const char *fmt, va_list ap)
{
    if (err == NULL) {
        return;
    }
    memset(err, 0, sizeof *err);
    err->code = code;
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    if (field != NULL) {
        snprintf(err->field, sizeof err->field, "%s", field);
    }
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, NULL, fmt, ap);
    va_end(ap);
    return code;
}

int error_set_field(struct error *err, int code, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, field, fmt, ap);
    va_end(ap);
    return code;
}

int error_set_errno(struct error *err, int errno_value, const char *fmt, ...)
{
    int code = err_from_errno(errno_value > 0 ? -errno_value : errno_value);
    if (err == NULL) {
        return code;
    }
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, NULL, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s",
             strerror(errno_value < 0 ? -errno_value : errno_value));
    return code;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return ERR_INTERNAL;
    }
    char old[ERROR_MESSAGE_MAX];
    memcpy(old, err->message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", old);
    return err->code;
}
