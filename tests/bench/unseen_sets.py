"""Labelled sets of shapes that no published set has, made from a seed: namesakes, households, franchises, a few dozen rows.

No weight or band was set by them, but the rule that plain agreement joins (`sureness.certain`) was made after looking at them: they
hold the floor of precision where it is easily lost, and say nothing any more of what nobody has seen.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEED = 20_261_122
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Unseen:
    """One set: its name, its columns besides `id` and `entity`, and its rows."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def write(self, folder: Path) -> Path:
        """Write it as CSV with the columns `id`, …, `entity`; returns the file."""
        path = folder / f"{self.name.replace(' ', '_')}.unseen.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("id", *self.columns, "entity"))
            writer.writeheader()
            writer.writerows(self.rows)
        return path


@dataclass(slots=True)
class Listed:
    """Rows as they are made: each is of an entity, and numbered in an order that says nothing."""

    chance: random.Random
    rows: list[Row] = field(default_factory=list)
    entities: int = 0

    def add(self, *tellings: Row) -> None:
        """One entity, told once or several times."""
        self.entities += 1
        self.rows += [{**told, "entity": str(self.entities)} for told in tellings]

    def made(self, name: str) -> Unseen:
        """The set of them."""
        self.chance.shuffle(self.rows)
        columns = tuple(key for key in self.rows[0] if key != "entity")
        return Unseen(name, columns, tuple({"id": str(n), **row} for n, row in enumerate(self.rows)))


def unseen_sets() -> Iterator[Unseen]:
    """All of them."""
    for number, make in enumerate(_MAKERS):
        yield make(random.Random(SEED + number))


def _namesakes(chance: random.Random) -> Unseen:
    """German customers of one city, a hundred names for all; a second list turns the name round and has few addresses."""
    listed = Listed(chance)
    given = ["Anna", "Bernd", "Clara", "Dieter", "Eva", "Fritz", "Greta", "Hans", "Ina", "Jürgen"]
    family = [
        "Bauer",
        "Becker",
        "Fischer",
        "Hoffmann",
        "Koch",
        "Meyer",
        "Müller",
        "Schmidt",
        "Schneider",
        "Weber",
    ]
    for number in range(160):
        first, last = chance.choice(given), chance.choice(family)
        mail = f"{first}.{last}{number}@example.de".lower()
        told = [{"Name": f"{first} {last}", "E-Mail": mail, "Ort": "Köln"}]
        if chance.random() < 0.25:
            told.append(
                {
                    "Name": f"{last}, {first}",
                    "E-Mail": mail.upper() if chance.random() < 0.5 else "",
                    "Ort": "Koeln",
                }
            )
        listed.add(*told)
    return listed.made("German namesakes")


def _malaysians(chance: random.Random) -> Unseen:
    """Malay, Indian and Chinese names as three offices write them; brothers share a father's name and a house."""
    listed = Listed(chance)
    sons = ["Faizal", "Hafiz", "Azman", "Rizal", "Amir", "Syafiq", "Zulkifli", "Iskandar", "Hakim", "Fikri"]
    daughters = ["Aisyah", "Siti", "Nurul", "Farah", "Hidayah", "Zainab", "Aminah", "Salmah"]
    fathers = [
        "Ismail",
        "Abdullah",
        "Hassan",
        "Omar",
        "Yusof",
        "Ibrahim",
        "Rahman",
        "Kassim",
        "Bakar",
        "Salleh",
        "Jaafar",
        "Daud",
    ]
    tamil = [
        "Rajesh",
        "Suresh",
        "Kumar",
        "Ganesan",
        "Muthu",
        "Arumugam",
        "Selvam",
        "Ravi",
        "Prakash",
        "Vijay",
        "Anand",
        "Mohan",
    ]
    chinese = ["Tan", "Lim", "Lee", "Ng", "Wong", "Chan", "Goh", "Ong", "Teh", "Low"]
    syllables = [
        "Wei",
        "Ming",
        "Hui",
        "Ling",
        "Jun",
        "Kai",
        "Xin",
        "Yi",
        "Mei",
        "Hao",
        "Siew",
        "Chong",
        "Boon",
        "Kok",
    ]
    roads = ["Ampang", "Bukit Bintang", "Tun Razak", "Ipoh", "Gasing", "Universiti", "Kuching", "Pinang"]
    for _ in range(420):
        kind = chance.random()
        house = f"{chance.randrange(1, 180)} Jalan {chance.choice(roads)}"
        phone = f"01{chance.randrange(0, 9)}-{chance.randrange(1_000_000, 9_999_999)}"
        father = chance.choice(fathers)
        if kind < 0.5:
            brothers = chance.sample(
                [*((name, "bin") for name in sons), *((name, "binti") for name in daughters)], 2
            )
            for (own, child), mobile in zip(brothers[: 1 + (kind < 0.15)], (phone, ""), strict=False):
                first = f"Mohd {own}" if child == "bin" and chance.random() < 0.5 else own
                short = {"bin": "b.", "binti": "bt"}[child]
                written = (
                    f"{first} {child} {father}",
                    f"{first.replace('Mohd', 'Muhammad')} {short} {father}".upper(),
                )
                _tell(listed, written, house, mobile, "Kuala Lumpur")
        elif kind < 0.75:
            own, other = chance.sample(tamil, 2)
            _tell(listed, (f"{own} a/l {other}", f"{own.upper()} A/L {other.upper()}"), house, phone, "Ipoh")
        else:
            own = chance.choice(chinese)
            first, last = chance.sample(syllables, 2)
            written = (
                f"{own} {first} {last}",
                f"{first} {last} {own}".title() if kind > 0.9 else f"{own} {first}-{last}",
            )
            _tell(listed, written, house, phone, "Penang")
    return listed.made("Malaysian customers")


def _tell(listed: Listed, written: tuple[str, str], house: str, phone: str, city: str) -> None:
    told = [{"nama": written[0], "alamat": house, "bandar": city, "telefon": phone}]
    if listed.chance.random() < 0.3:
        moved = listed.chance.random() < 0.2
        told.append(
            {
                "nama": written[1],
                "alamat": "" if moved else house.replace("Jalan", "Jln"),
                "bandar": city.upper(),
                "telefon": "" if not moved and listed.chance.random() < 0.4 else phone.replace("-", ""),
            }
        )
    listed.add(*told)


def _spaniards(chance: random.Random) -> Unseen:
    """Two surnames, of which foreigners and forms drop one; brothers and sisters have both, and the street."""
    listed = Listed(chance)
    men = ["José", "Manuel", "Antonio", "Javier", "Luis", "Carlos", "Miguel Ángel", "Juan Carlos"]
    women = ["María", "Carmen", "Ana", "Lucía", "Isabel", "María José", "Ana Belén", "Pilar"]
    surnames = [
        "García",
        "López",
        "Martínez",
        "Sánchez",
        "Pérez",
        "Gómez",
        "Ruiz",
        "Díaz",
        "Moreno",
        "Álvarez",
        "Romero",
        "Navarro",
        "Torres",
        "Gil",
        "Ibáñez",
        "Ferrer",
    ]
    streets = ["Mayor", "Real", "Alcalá", "Serrano", "Goya", "Toledo", "Atocha", "Princesa"]
    for _ in range(300):
        both = " ".join(chance.sample(surnames, 2))
        street = f"Calle {chance.choice(streets)} {chance.randrange(1, 140)}"
        for first in chance.sample([*men, *women], chance.choice((1, 1, 1, 2, 3))):
            born = f"{chance.randrange(1950, 2004)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
            told = [{"nombre": first, "apellidos": both, "calle": street, "fecha de nacimiento": born}]
            if chance.random() < 0.25:
                one = both.split()[0] if chance.random() < 0.5 else both
                other = {
                    "nombre": first.split()[0],
                    "apellidos": one.upper(),
                    "calle": street.replace("Calle", "C/"),
                }
                told.append({**other, "fecha de nacimiento": born if chance.random() < 0.7 else ""})
            listed.add(*told)
    return listed.made("Spanish families")


def _franchises(chance: random.Random) -> Unseen:
    """Shops: one name in forty places, one service number for all; and makers called after what they make."""
    listed = Listed(chance)
    chains = [
        "Burger Palace",
        "Golden Noodle House",
        "QuickFix Tyres",
        "Sunrise Pharmacy",
        "Copy & Print Centre",
    ]
    streets = [
        "High Street",
        "Station Road",
        "Market Square",
        "Mill Lane",
        "Church Road",
        "Park Avenue",
        "Queen Street",
    ]
    towns = ["Leeds", "York", "Hull", "Derby", "Bath", "Luton", "Poole", "Crewe", "Ripon", "Truro"]
    hotline = {name: f"0800 {chance.randrange(100_000, 999_999)}" for name in chains}
    for name in chains:
        for place in range(40):
            street = f"{chance.randrange(1, 120)} {chance.choice(streets)}"
            town = towns[place % len(towns)]
            phone = hotline[name] if chance.random() < 0.5 else f"01{chance.randrange(10**8, 10**9)}"
            _shop(listed, name, f"{name} {town}", street, town, phone)
    for number in range(240):
        name = f"{chance.choice(('Delta', 'Sigma', 'Nova', 'Apex'))} {chance.randrange(100, 999)} {chance.choice(('Systems', 'Pumps', 'Valves'))}"
        street = f"Unit {number % 30 + 1}, {chance.choice(('North', 'South'))} Trading Estate"
        _shop(
            listed, name, f"{name} Ltd", street, chance.choice(towns), f"01{chance.randrange(10**8, 10**9)}"
        )
    return listed.made("Franchises and numbered firms")


def _shop(listed: Listed, name: str, other: str, street: str, town: str, phone: str) -> None:
    told = [{"name": name, "address": street, "town": town, "telephone": phone}]
    if listed.chance.random() < 0.2:
        kept = phone if listed.chance.random() < 0.7 else ""
        short = street.replace("Street", "St.").replace("Road", "Rd").replace("Avenue", "Ave")
        told.append({"name": other, "address": short, "town": town.upper(), "telephone": kept})
    listed.add(*told)


def _households(chance: random.Random) -> Unseen:
    """Families at one address with one telephone, a father and a son of one name among them."""
    listed = Listed(chance)
    given = [
        "James",
        "Mary",
        "John",
        "Patricia",
        "Robert",
        "Jennifer",
        "Michael",
        "Linda",
        "William",
        "Elizabeth",
        "David",
        "Barbara",
        "Richard",
        "Susan",
        "Joseph",
        "Jessica",
        "Thomas",
        "Sarah",
        "Charles",
        "Karen",
        "Daniel",
        "Nancy",
        "Matthew",
        "Lisa",
        "Anthony",
        "Betty",
        "Mark",
        "Margaret",
        "Paul",
        "Sandra",
    ]
    family = [
        "Smith",
        "Johnson",
        "Williams",
        "Brown",
        "Jones",
        "Miller",
        "Davis",
        "Wilson",
        "Anderson",
        "Taylor",
        "Moore",
        "Jackson",
        "Martin",
        "Lee",
        "Thompson",
        "White",
        "Harris",
        "Clark",
        "Lewis",
        "Walker",
        "Hall",
        "Young",
        "Allen",
        "King",
        "Wright",
        "Scott",
        "Hill",
        "Green",
        "Adams",
        "Baker",
        "Nelson",
        "Carter",
        "Mitchell",
    ]
    streets = ["Oak", "Maple", "Cedar", "Pine", "Elm", "Walnut", "Willow", "Chestnut"]
    short = {
        "James": "Jim",
        "Robert": "Bob",
        "William": "Bill",
        "Elizabeth": "Liz",
        "Jennifer": "Jen",
        "Michael": "Mike",
    }
    for _ in range(260):
        last, street = chance.choice(family), f"{chance.randrange(1, 999)} {chance.choice(streets)} St"
        phone = f"({chance.randrange(201, 989)}) {chance.randrange(200, 999)}-{chance.randrange(0, 9999):04}"
        members = chance.sample(given, chance.choice((1, 2, 2, 3, 4)))
        if chance.random() < 0.08:
            members.append(f"{members[0]} Jr.")
        for member in members:
            first, _, suffix = member.partition(" ")
            name = f"{first} {last}" + (f", {suffix}" if suffix else "")
            told = [{"customer": name, "street": street, "phone": phone}]
            if chance.random() < 0.2:
                other = f"{short.get(first, first)} {last}" + (f" {suffix.rstrip('.')}" if suffix else "")
                told.append(
                    {
                        "customer": other,
                        "street": street.replace(" St", " Street"),
                        "phone": phone.replace(" ", ""),
                    }
                )
            listed.add(*told)
    return listed.made("Households")


def _handful(chance: random.Random) -> Unseen:
    """Forty-odd rows of an address book: too few to learn anything from."""
    listed = Listed(chance)
    given = ["Amélie", "Bruno", "Chloé", "Denis", "Élodie", "Fabien", "Gaëlle", "Hugo", "Inès", "Julien"]
    family = ["Dubois", "Laurent", "Moreau", "Lefèvre", "Girard", "Roux", "Fontaine", "Mercier"]
    for number in range(40):
        first, last = given[number % 10], family[number % 8]
        mail = f"{first[0]}.{last}@{chance.choice(('atelier-nord', 'maison-verte', 'groupe-sud'))}.fr".lower()
        told = [
            {
                "contact": f"{first} {last}",
                "courriel": mail,
                "ville": chance.choice(("Lyon", "Lille", "Nantes")),
            }
        ]
        if number % 5 == 0:
            told.append({**told[0], "contact": f"{last.upper()} {first}"})
        listed.add(*told)
    return listed.made("Forty-eight rows")


def _members(chance: random.Random) -> Unseen:
    """A list of names and towns and nothing else: most who agree in both are two."""
    listed = Listed(chance)
    given = [
        f"{a}{b}"
        for a in ("Ma", "Jo", "Pe", "Li", "Ka", "To")
        for b in ("rta", "hn", "ter", "sa", "ren", "mas")
    ]
    family = [
        f"{a}{b}"
        for a in ("Sten", "Berg", "Lind", "Nord", "Strand", "Holm")
        for b in ("man", "gren", "qvist", "son", "")
    ]
    for _ in range(900):
        row = {
            "member": f"{chance.choice(given)} {chance.choice(family)}",
            "town": chance.choice(("Lund", "Umeå", "Gävle")),
        }
        told = [row]
        if chance.random() < 0.05:
            told.append(dict(row))
        listed.add(*told)
    return listed.made("Names and towns alone")


_MAKERS: tuple[Callable[[random.Random], Unseen], ...] = (
    _namesakes,
    _malaysians,
    _spaniards,
    _franchises,
    _households,
    _handful,
    _members,
)
