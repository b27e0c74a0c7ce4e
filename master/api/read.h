/* Lists that go on in later turns, and the versions that their pages are read from. */
#ifndef MASTER_API_READ_H
#define MASTER_API_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct api_call;
struct buf;
struct view;
void list_go_on(struct api_call *c);  /* the next piece; of a call that has a list on its way */
void list_let_go(struct api_call *c); /* it goes no further; harmless if there is none */
/* Of a token whose version is gone: one that goes on behind the same object in the newest version, which the pages
 * after it are read from; those before it are of another. False: it is no token. */
bool list_token_anew(struct api_call *c, struct str token, struct buf *out);
/* let_go: what lets go of a version of the state, by which much may be freed; NULL: view_unref. */
struct list_pages *list_pages_new(void (*let_go)(void *data, struct view *v), void *data);
void list_pages_free(struct list_pages *p);
void list_pages_expire(struct list_pages *p, int64_t now_ms); /* lets go of versions nobody reads on, and of old ones */

#endif
