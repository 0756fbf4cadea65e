"""The change feed by itself: order, batches, bounds."""

from __future__ import annotations

import asyncio

import pytest

from podium_storage.changes import Batch, Change, ChangeFeed, ChangeKind


def _change(key: int, table: str = "a") -> Change:
    return Change(table, ChangeKind.CREATED, key)


def _changes(*keys: int, table: str = "a") -> list[Change]:
    return [_change(key, table) for key in keys]


async def test_what_was_published_since_comes_as_one_batch() -> None:
    """Several commits are told in one batch, in their order."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription:
        feed.publish(_changes(1, 2))
        feed.publish(_changes(3))
        assert await anext(subscription) == Batch(tuple(_changes(1, 2, 3)))
        assert subscription.take_changes() is None


async def test_a_waiting_subscriber_is_woken() -> None:
    """A subscriber that waits gets the batch as soon as there is one."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription:
        waiting = asyncio.create_task(anext(subscription))
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.publish(_changes(1))
        assert await waiting == Batch(tuple(_changes(1)))


async def test_only_the_subscribed_tables_are_told() -> None:
    """A subscriber to one table does not hear of another, and is not woken by it."""
    feed = ChangeFeed()
    with feed.subscribe("a") as some, feed.subscribe() as everything:
        feed.publish([_change(1, "b"), _change(2, "a")])
        assert some.take_changes() == Batch((_change(2, "a"),))
        assert everything.take_changes() == Batch((_change(1, "b"), _change(2, "a")))
        feed.publish(_changes(3, table="b"))
        assert some.take_changes() is None


async def test_a_slow_subscriber_is_told_to_read_again() -> None:
    """Past its limit a subscriber loses what it has not taken and gets a resync; afterwards it hears of news again."""
    feed = ChangeFeed()
    with feed.subscribe(limit=3) as slow, feed.subscribe(limit=10) as quick:
        feed.publish(_changes(1, 2))
        feed.publish(_changes(3, 4))
        feed.publish(_changes(5))
        assert slow._pending == []
        assert slow.take_changes() == Batch((), resync=True)
        assert quick.take_changes() == Batch(tuple(_changes(1, 2, 3, 4, 5)))
        feed.publish(_changes(6))
        assert slow.take_changes() == Batch(tuple(_changes(6)))


@pytest.mark.parametrize("keys", [[], [1]])
async def test_closing_ends_the_iteration_after_what_is_left(keys: list[int]) -> None:
    """When the feed closes, a subscriber still gets what was committed before, and then stops."""
    feed = ChangeFeed()
    subscription = feed.subscribe()
    feed.publish(_changes(*keys))
    feed.close()
    assert [change.key async for batch in subscription for change in batch.changes] == keys


async def test_a_subscription_that_was_closed_is_forgotten() -> None:
    """A closed subscription takes no memory and no time of the writer's."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription:
        pass
    feed.publish(_changes(1))
    assert subscription.take_changes() is None
    assert feed._subscriptions == set()


async def test_a_subscription_to_a_closed_feed_ends_at_once() -> None:
    """A subscriber that comes after the end does not wait for ever."""
    feed = ChangeFeed()
    feed.close()
    assert [batch async for batch in feed.subscribe()] == []


async def test_a_subscriber_can_leave_out_what_it_writes_itself() -> None:
    """Changes made in its scope, by tasks of it too, go to everybody else; what others write meanwhile goes to it."""
    feed = ChangeFeed()
    with feed.subscribe() as own, feed.subscribe() as other:
        elsewhere = asyncio.create_task(_publish_when(begun := asyncio.Event(), feed, 2))
        with own.leaving_out_own():
            feed.publish(_changes(1))
            begun.set()
            await elsewhere
            await asyncio.create_task(_publish_when(begun, feed, 3))
        feed.publish(_changes(4))
        assert own.take_changes() == Batch(tuple(_changes(2, 4)))
        assert other.take_changes() == Batch(tuple(_changes(1, 2, 3, 4)))


async def test_a_task_that_outlives_the_scope_is_heard() -> None:
    """What a turn has started goes on writing after it, and that is news."""
    feed = ChangeFeed()
    with feed.subscribe() as own:
        with own.leaving_out_own():
            left_running = asyncio.create_task(_publish_when(begun := asyncio.Event(), feed, 1))
        begun.set()
        await left_running
        assert own.take_changes() == Batch(tuple(_changes(1)))


async def _publish_when(begun: asyncio.Event, feed: ChangeFeed, key: int) -> None:
    await begun.wait()
    feed.publish(_changes(key))
