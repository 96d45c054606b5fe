"""One invented company with two legacy systems: how many records of what, and who works where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic.chance import Chance, as_text, joined
from migrator.testing.synthetic.entities import Companies, People, companies, company_domains, people
from migrator.testing.synthetic.population import Parents, Population, Rates
from migrator.testing.synthetic.spoil import notations


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records per object."""

    accounts: int
    contacts: int
    opportunities: int
    activities: int
    users: int
    orders: int = 0
    attachments: int = 0
    lists: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything that can be asked about the records of both systems."""

    chance: Chance
    rates: Rates
    salesforce: Sizes
    dynamics: Sizes

    @property
    def people(self) -> Population:
        """Contacts of both systems."""
        return Population(
            self.chance.of("people"), self.rates, self.salesforce.contacts, self.dynamics.contacts
        )

    @property
    def companies(self) -> Population:
        """Accounts of both systems."""
        return Population(
            self.chance.of("companies"), self.rates, self.salesforce.accounts, self.dynamics.accounts
        )

    @property
    def deals(self) -> Population:
        """Opportunities of Salesforce."""
        return Population(self.chance.of("deals"), self.rates, self.salesforce.opportunities, 0)

    def parents(self, what: str, count: int) -> Parents:
        """Who is whose parent among `count` records."""
        return Parents(self.chance.of(what), self.rates, count)

    def employers(self, entities: np.ndarray) -> np.ndarray:
        """The company record each person works for, over both systems."""
        total = self.salesforce.accounts + self.dynamics.accounts
        return self.chance.of("people").below("employer", entities, total)

    def accounts_seen(self, records: np.ndarray) -> tuple[Companies, np.ndarray, np.ndarray]:
        """The companies that account records speak of, their numbers, and which records are copies."""
        entities = self.companies.entities(records)
        copies = entities != records
        how = notations(self.chance.of("companies"), records, copies)
        return companies(self.chance, entities, how), entities, copies

    def contacts_seen(self, records: np.ndarray) -> tuple[People, np.ndarray, np.ndarray]:
        """The people that contact records speak of, their numbers, and which records are copies."""
        entities = self.people.entities(records)
        copies = entities != records
        domains = company_domains(self.chance, self.companies.entities(self.employers(entities)))
        how = notations(self.chance.of("people"), records, copies)
        return people(self.chance, entities, domains, how), entities, copies


def sizes(scale: int) -> tuple[Sizes, Sizes]:
    """About `scale` records: two thirds in Salesforce, one third in Dynamics."""
    users = min(max(6, scale // 400), 400)
    salesforce = Sizes(
        accounts=max(scale * 14 // 100, 4),
        contacts=max(scale * 24 // 100, 8),
        opportunities=max(scale * 14 // 100, 4),
        activities=max(scale * 12 // 100, 4),
        users=users,
        orders=max(scale * 3 // 100, 2),
        attachments=min(max(2, scale // 500), 60),
    )
    dynamics = Sizes(
        accounts=max(scale * 8 // 100, 4),
        contacts=max(scale * 14 // 100, 6),
        opportunities=max(scale * 5 // 100, 3),
        activities=max(scale * 4 // 100, 3),
        users=max(users // 2, 4),
        lists=min(max(2, scale // 2000), 100),
    )
    return salesforce, dynamics


def entity_names(letter: str, numbers: np.ndarray) -> pa.Array:
    """'P000012': what the truth calls a person or company."""
    return joined(letter, as_text(numbers, 7))
