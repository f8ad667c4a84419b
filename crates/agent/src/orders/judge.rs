//! Whether an order may be taken, by what the journal says.

use super::*;

impl Book {
    /// Judge an authentic order by what was taken before (S1, S2, replay).
    #[must_use]
    pub fn judge(&self, order: &Order, digest: &str) -> Judgement {
        let refuse = |code, text: String| Judgement::Refuse(code, text);
        let tries = self.tries.get(&order.task);
        let this = tries.and_then(|tries| tries.get(&order.epoch)).filter(|this| this.progress != Progress::Claimed);
        if self.tombstones.contains(&(order.task, order.epoch)) {
            return refuse(RefusalCode::Cancelled, format!("epoch {} was revoked before it came", order.epoch));
        }
        if let Some(this) = this {
            if this.digest == digest {
                return Judgement::Again;
            }
            return refuse(RefusalCode::Replayed, format!("epoch {} was taken as another order", order.epoch));
        }
        if let Some(later) = self.highest_taken(order.task).filter(|taken| *taken > order.epoch) {
            return refuse(RefusalCode::Replayed, format!("epoch {later} of this task was taken before"));
        }
        if self.used(order.order_seq) {
            return refuse(RefusalCode::Replayed, format!("order number {} was used before", order.order_seq));
        }
        if self.too_far(order.order_seq) {
            let (number, highest) = (order.order_seq, self.highest_seq());
            let text = format!("order number {number} is more than {SEQ_AHEAD_MAX} above the highest used, {highest}");
            return refuse(RefusalCode::Replayed, text);
        }
        self.judge_epoch(order)
    }

    fn judge_epoch(&self, order: &Order) -> Judgement {
        let tries = self.tries.get(&order.task);
        let unresolved = tries
            .into_iter()
            .flatten()
            .find(|(_, entry)| matches!(entry.progress, Progress::Accepted | Progress::Started));
        if let Some((epoch, _)) = unresolved {
            let text = format!("epoch {epoch} of this task has not ended here");
            return Judgement::Refuse(RefusalCode::UnresolvedEpoch, text);
        }
        let refuse = |text: String| Judgement::Refuse(RefusalCode::UnresolvedEpoch, text);
        match (&order.supersedes, order.epoch) {
            (None, 0 | 1) => Judgement::Fresh,
            (None, epoch) => refuse(format!("epoch {epoch} names no predecessor")),
            (Some(named), epoch) if named.epoch >= epoch => {
                refuse(format!("epoch {epoch} names {} before it", named.epoch))
            }
            (Some(named), _) => {
                let known = tries.and_then(|tries| tries.get(&named.epoch));
                let matches = known.is_some_and(|known| {
                    known.events.iter().any(|event| resolves(event) && digest_of(event) == named.result_digest)
                });
                if matches {
                    Judgement::Fresh
                } else {
                    refuse(format!("epoch {} did not end here with the result the order names", named.epoch))
                }
            }
        }
    }
}
