/* Lists that go on in later turns, and the versions that their pages are read from. */
#ifndef MASTER_API_READ_H
#define MASTER_API_READ_H

#include <stdint.h>

struct api_call;
void list_go_on(struct api_call *c);  /* the next piece; of a call that has a list on its way */
void list_let_go(struct api_call *c); /* it goes no further; harmless if there is none */
struct list_pages *list_pages_new(void);
void list_pages_free(struct list_pages *p);
void list_pages_expire(struct list_pages *p, int64_t now_ms); /* versions that nobody has read on for long are let go */

#endif
