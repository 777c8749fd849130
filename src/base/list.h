/*
 * list - intrusive doubly linked lists.
 *
 * A list is a struct list whose links point to itself when empty; a member embeds a struct list
 * and is found again by LIST_ENTRY. A member that is in no list must be list_init'ed before
 * list_remove.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define LIST_ENTRY(ptr, type, member) CONTAINER_OF(ptr, type, member)
/* The current entry may be removed inside the loop. */
#define LIST_FOR(at, head) \
	for (struct list *at = (head)->next, *at##_next = at->next; at != (head); \
	     at = at##_next, at##_next = at->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert(struct list *before, struct list *entry)
{
	entry->next = before;
	entry->prev = before->prev;
	before->prev->next = entry;
	before->prev = entry;
}

static inline void list_push(struct list *head, struct list *entry)	/* at the end */
{
	list_insert(head, entry);
}

static inline void list_push_front(struct list *head, struct list *entry)
{
	list_insert(head->next, entry);
}

static inline void list_remove(struct list *entry)	/* leaves it initialised */
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	list_init(entry);
}

static inline struct list *list_first(const struct list *head)	/* NULL if empty */
{
	return head->next == head ? NULL : head->next;
}

static inline struct list *list_pop(struct list *head)	/* the first, removed; NULL if empty */
{
	struct list *entry = list_first(head);

	if (entry)
		list_remove(entry);
	return entry;
}

/* All of from behind the end of to; from is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
