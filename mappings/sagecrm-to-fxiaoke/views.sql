-- Views to make once, in a copy of the Sage CRM database, before `migrator init`: a mapping reads one table or view.
-- The statements run on SQL Server and on SQLite; on SQL Server run them one by one. They only read.
CREATE VIEW mig_company AS
SELECT c.*, a.Addr_Address1, a.Addr_City, a.Addr_State, a.Addr_PostCode, a.Addr_Country,
       p.Phon_CountryCode, p.Phon_AreaCode, p.Phon_Number, e.Emai_EmailAddress
FROM Company c
LEFT JOIN Address a ON a.Addr_AddressId = c.Comp_PrimaryAddressId
LEFT JOIN Phone p ON p.Phon_PhoneId = (
  SELECT MIN(l.PLink_PhoneId) FROM PhoneLink l
  WHERE l.PLink_EntityID = 5 AND l.PLink_RecordID = c.Comp_CompanyId AND l.PLink_Type = 'Business' AND l.PLink_Deleted IS NULL)
LEFT JOIN Email e ON e.Emai_EmailId = (
  SELECT MIN(l.ELink_EmailId) FROM EmailLink l
  WHERE l.ELink_EntityID = 5 AND l.ELink_RecordID = c.Comp_CompanyId AND l.ELink_Type = 'Business' AND l.ELink_Deleted IS NULL);

CREATE VIEW mig_person AS
SELECT c.*, a.Addr_Address1, a.Addr_City, a.Addr_State, a.Addr_PostCode, a.Addr_Country,
       p.Phon_CountryCode, p.Phon_AreaCode, p.Phon_Number, e.Emai_EmailAddress
FROM Person c
LEFT JOIN Address a ON a.Addr_AddressId = c.Pers_PrimaryAddressId
LEFT JOIN Phone p ON p.Phon_PhoneId = (
  SELECT MIN(l.PLink_PhoneId) FROM PhoneLink l
  WHERE l.PLink_EntityID = 13 AND l.PLink_RecordID = c.Pers_PersonId AND l.PLink_Type = 'Business' AND l.PLink_Deleted IS NULL)
LEFT JOIN Email e ON e.Emai_EmailId = (
  SELECT MIN(l.ELink_EmailId) FROM EmailLink l
  WHERE l.ELink_EntityID = 13 AND l.ELink_RecordID = c.Pers_PersonId AND l.ELink_Type = 'Business' AND l.ELink_Deleted IS NULL);

-- A communication may have many participants: the first link stands for it.
CREATE VIEW mig_communication AS
SELECT c.*, l.CmLi_Comm_UserId, l.CmLi_Comm_PersonId, l.CmLi_Comm_CompanyId
FROM Communication c
LEFT JOIN Comm_Link l ON l.CmLi_CommLinkId = (
  SELECT MIN(x.CmLi_CommLinkId) FROM Comm_Link x
  WHERE x.CmLi_Comm_CommunicationId = c.Comm_CommunicationId AND x.CmLi_Deleted IS NULL);

CREATE VIEW mig_opportunity AS
SELECT o.*, r.Curr_Symbol
FROM Opportunity o
LEFT JOIN Currency r ON r.Curr_CurrencyID = o.Oppo_Forecast_CID;

CREATE VIEW mig_quote_item AS
SELECT i.*, q.Quot_OpportunityId, q.Quot_Deleted
FROM QuoteItems i
LEFT JOIN Quotes q ON q.Quot_OrderQuoteID = i.QuIt_OrderQuoteID;
